/* SPDX-License-Identifier: ISC */
/*
 * The smallest guest that shows what its disk is: it boots in a fraction of a second where a kernel takes a minute
 * (an emulated processor in an emulated processor). On its serial port it says
 *
 *	vmf-boot: ready
 *	vmf-boot: disk says: TEXT	what somebody wrote at byte 512 of the disk, up to the end of the line
 *	vmf-boot: count N		a digit that it keeps at byte 1031, read, increased and written back: after 9 comes 0
 *
 * and counts once more, with a line, for each key pressed. The key f fills the disk: a sector at each 64 KiB from 1 MiB
 * on, whose first four bytes are its number; then it says "vmf-boot: filled". "vmf-boot: disk error" if the disk cannot be
 * read or written.
 *
 *	as --32 -o b.o bootsector.s && ld -m elf_i386 -Ttext 0x7c00 -e 0 --oformat binary -o disk b.o && truncate -s 1M disk
 *
 * SeaBIOS does not boot from a disk of 512 bytes, hence the 1 MB.
 */
	.set com1, 0x3f8
	.set text, 0x8000	/* where sector 1 is read to */
	.set counter, 0x8200	/* sector 2 */

	.code16
	.text
	ljmp $0, $start
start:
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $0x7c00, %sp
	movb %dl, drive
	sti
	cld

	movw $ready, %si
	call print
	call newline

	movw $says, %si
	call print
	movb $0x42, %ah
	movw $text, %bx
	movb $1, %cl
	call disk
	movb $0, text + 512	/* an end, if there is none in the sector */
	movw $text, %si
	call print
	call newline

count:
	movb $0x42, %ah
	movw $counter, %bx
	movb $2, %cl
	call disk
	incb counter + 7
	cmpb $'9', counter + 7
	jbe 1f
	movb $'0', counter + 7
1:	movb $0x43, %ah
	movw $counter, %bx
	movb $2, %cl
	call disk
	movw $counts, %si
	call print
	movb counter + 7, %al
	call put
	call newline

	/* The timer wakes it 18 times a second: it does not take a processor for itself. */
wait:
	hlt
	movw $com1 + 5, %dx
	inb %dx, %al
	testb $1, %al
	jz wait
	movw $com1, %dx
	inb %dx, %al
	cmpb $'f', %al
	jne count

	movb $0x48, %ah
	movb drive, %dl
	movw $size, %si
	int $0x13
	jc failed
	movl $2048, text
fill:
	movl text, %eax
	cmpl size + 16, %eax
	jae filled
	movl %eax, sector
	movw $text, address
	movb $0x43, %ah
	call transfer
	addl $128, text
	jmp fill
filled:
	movw $full, %si
	call print
	call newline
	jmp wait

/* Reads (%ah 0x42) or writes (0x43) sector %cl from or to %bx. */
disk:
	movzbl %cl, %ecx
	movl %ecx, sector
	movw %bx, address
transfer:
	movb drive, %dl
	movw $packet, %si
	xorb %al, %al
	int $0x13
	jc failed
	ret
failed:
	movw $error, %si
	call print
	call newline
1:	hlt
	jmp 1b

/* The text at %si, up to a 0 or a newline. */
print:
	lodsb
	testb %al, %al
	jz 1f
	cmpb $'\n', %al
	je 1f
	call put
	jmp print
1:	ret

newline:
	movb $'\r', %al
	call put
	movb $'\n', %al

/* The byte %al, once the port takes one. */
put:
	pushw %ax
	movw $com1 + 5, %dx
1:	inb %dx, %al
	testb $0x20, %al
	jz 1b
	popw %ax
	movw $com1, %dx
	outb %al, %dx
	ret

ready:	.asciz "vmf-boot: ready"
says:	.asciz "vmf-boot: disk says: "
counts:	.asciz "vmf-boot: count "
error:	.asciz "vmf-boot: disk error"
full:	.asciz "vmf-boot: filled"
drive:	.byte 0

	.balign 4
packet:	.byte 16, 0
	.word 1
address:
	.word 0, 0
sector:	.quad 0
size:	.word 30	/* what int 0x13 tells of the disk: the number of sectors is at 16 */
	.fill 28

	.org 510
	.word 0xaa55

	.org 512
	.ascii "nothing yet\n"
	.org 1024
	.ascii "count: 0\n"
	.org 1536
