# SPDX-License-Identifier: ISC
# The blocks of disk-write and disk-check: 512 bytes each, a line of text with its number, their count and
# the seed. With -v mode=write prints them; otherwise compares its input and says which block differs first.

function block(number)
{
	return sprintf("vmf-block %010d", number) tail
}

BEGIN {
	tail = " of " blocks " seed " seed " "
	while (length(tail) < 491)
		tail = tail "0123456789abcdefghijklmnopqrstuvwxyz."
	tail = substr(tail, 1, 491)
	if (mode == "write") {
		for (n = 0; n < blocks; n++)
			print block(n)
		exit 0
	}
	next_block = 0
}

next_block == blocks {
	exit 0
}

$0 != block(next_block) {
	exit 0
}

{
	next_block++
}

END {
	if (mode != "write" && next_block < blocks) {
		print "bad block " next_block
		exit 1
	}
}
