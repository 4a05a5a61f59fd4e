# Completion of vmf for fish: vmf completion fish | source

# Where the cursor is: "first", "vm" or the verb or command whose words it is among.
function __vmf_where
    set -l words (commandline -opc)
    set -l where first
    set -l skip 0
    set -l is_command 0
    for w in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if test "$where" = first
            switch $w
                case -o -C --home
                    set skip 1
                case '-*'
                case @COMMANDS_WORDS@
                    set where $w
                    set is_command 1
                case '*'
                    set where vm
            end
        else if contains -- "$where $w" @PAIRS@
            set where "$where $w"
        else if test $is_command = 0
            switch $w
                case @VERBS_WORDS@
                    contains -- $where @QEMU_WORDS@; or set where $w
                case --
                    set where vm
            end
        end
    end
    echo $where
end

function __vmf_is
    contains -- (__vmf_where) $argv
end

function __vmf_in_chain
    set -l where (__vmf_where)
    not contains -- (string split ' ' $where)[1] first @COMMANDS_WORDS@; and not contains -- "$where" @GROUPS@
end

# vmf as it was called, with its home
function __vmf
    set -l words (commandline -opc)
    set -l home
    for i in (seq 2 (math (count $words) - 1))
        contains -- $words[$i] -C --home; and set home --home $words[(math $i + 1)]
    end
    $words[1] $home $argv 2>/dev/null
end

function __vmf_disks
    set -l words (commandline -opc)
    set -l i 2
    # the VM is the first word that belongs to no option
    while string match -q -- '-*' $words[$i]
        contains -- $words[$i] -o -C --home; and set i (math $i + 1)
        set i (math $i + 1)
    end
    __vmf $words[$i] drives --names
end

function __vmf_plugin
    set -l words (commandline -opc)
    if contains -- $words[-1] storage network display placement
        __vmf plugin list --names | string match "$words[-1]*" | string replace -r '.*\t' ''
    else if test $words[-1] = show
        printf '%s\n' storage network display placement
    else
        printf '%s\n' list show path
    end
end

complete -c vmf -f
complete -c vmf -n '__vmf_is first' -a '(__vmf list --names)' -d VM
@FISH@
