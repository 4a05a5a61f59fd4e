# SPDX-License-Identifier: ISC
"""
picture.py same A B: are two pictures the same, but for what JPEG and a blinking cursor make of them?
picture.py inside A B: is B, on a dark ground, what A shows somewhere? Pictures are PPM, or what Xvfb -fbdir writes (XWD).
picture.py busy A: does A show anything?
"""
import struct
import sys


def read(name):
    data = open(name, 'rb').read()
    if data[:2] == b'P6':
        words, at = [], 2
        while len(words) < 3:
            end = at = at + 1
            while data[end:end + 1].isdigit():
                end += 1
            words.append(int(data[at:end]))
            at = end
        pixels = data[at + 1:]
        width = words[0]
        return width, words[1], lambda x, y: pixels[3 * (y * width + x):3 * (y * width + x) + 3]
    head = struct.unpack('>25I', data[:100])
    size, width, height, bits, line, colours = head[0], head[4], head[5], head[11], head[12], head[19]
    if bits != 32:
        raise SystemExit('%s: %d bits a pixel' % (name, bits))
    start = size + 12 * colours

    def pixel(x, y):
        at = start + y * line + 4 * x
        return data[at + 2], data[at + 1], data[at]
    return width, height, pixel


def corner(picture):
    """The first column and row with anything bright in them."""
    width, height, pixel = picture
    bright = [(x, y) for y in range(height) for x in range(width) if max(pixel(x, y)) > 100]
    return (min(p[0] for p in bright), min(p[1] for p in bright)) if bright else (0, 0)


def main():
    width, height, a = read(sys.argv[2])
    if sys.argv[1] == 'busy':
        n = sum(max(a(x, y)) > 100 for y in range(0, height, 2) for x in range(0, width, 2))
        print('%d bright points' % n)
        return n < 50
    other_width, other_height, b = read(sys.argv[3])
    left = top = 0
    if sys.argv[1] == 'inside':
        (x, y), (other_x, other_y) = corner((width, height, a)), corner((other_width, other_height, b))
        left, top = max(0, x - other_x), max(0, y - other_y)
    elif (width, height) != (other_width, other_height):
        print('%dx%d is not %dx%d' % (width, height, other_width, other_height))
        return 1
    wrong = total = 0
    for y in range(0, other_height, 2):
        for x in range(0, other_width, 2):
            total += 1
            wrong += max(abs(p - q) for p, q in zip(a(x + left, y + top), b(x, y))) > 64
    print('%d of %d points differ' % (wrong, total))
    return wrong > total // 250


sys.exit(main())
