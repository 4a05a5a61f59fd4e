/* SPDX-License-Identifier: ISC */
/*
 * A guest for two disks: it counts, and writes each number to sector 8 of the first disk, then to that of the second. So in
 * any one moment the first disk is never behind the second, nor ahead of it by more than one. On its serial port it says
 * "writer: ready" once both have a number, and "writer: disk error" if one cannot be written.
 *
 *	as --32 -o w.o writer.s && ld -m elf_i386 -Ttext 0x7c00 -e 0 --oformat binary -o disk w.o && truncate -s 1M disk
 */
	.set com1, 0x3f8
	.set number, 0x8000	/* four bytes of a sector */

	.code16
	.text
	ljmp $0, $start
start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	sti
	cld
	movl $0, number
again:
	incl number
	movb $0x80, %dl
	call write
	movb $0x81, %dl
	call write
	cmpl $1, number
	jne again
	movw $ready, %si
	call print
	jmp again

write:
	movb $0x43, %ah
	movw $packet, %si
	xorb %al, %al
	int $0x13
	jc failed
	ret
failed:
	movw $error, %si
	call print
1:	hlt
	jmp 1b

/* The text at %si, up to a 0. */
print:
	lodsb
	testb %al, %al
	jz 2f
	movb %al, %cl
	movw $com1 + 5, %dx
1:	inb %dx, %al
	testb $0x20, %al
	jz 1b
	movb %cl, %al
	movw $com1, %dx
	outb %al, %dx
	jmp print
2:	ret

ready:	.asciz "writer: ready\r\n"
error:	.asciz "writer: disk error\r\n"

	.balign 4
packet:	.byte 16, 0
	.word 1
	.word number, 0
	.quad 8

	.org 510
	.word 0xaa55
