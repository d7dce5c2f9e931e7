# SPDX-License-Identifier: Apache-2.0
# bash completion for kcorectl(1)

_kcorectl_guests() {
    kcorectl --json list 2>/dev/null | grep -o '"guest":{"name":"[A-Za-z0-9_-]*"' | cut -d'"' -f6
}

_kcorectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= i
    local verbs='launch list show console stop status doctor log'

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket) ((i++)) ;;
        -*) ;;
        *) verb=${COMP_WORDS[i]}; break ;;
        esac
    done

    case $prev in
    -k | --kernel | -i | --initrd | -d | --disk | --socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames
        return
        ;;
    -n | --network)
        mapfile -t COMPREPLY < <(compgen -W 'none user tap:' -- "$cur")
        return
        ;;
    -a | --append | -m | --memory | -c | --vcpus | -p | --publish | --name | --uuid | -t | --timeout)
        return
        ;;
    esac

    local words=
    case $verb in
    '') words="$verbs --json --socket --help --version" ;;
    launch)
        words='--kernel --initrd --append --disk --memory --vcpus --network --publish --name --uuid
               --early-console --console --wait --json --help'
        ;;
    show | console) words="--json --help"; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    stop) words='--force --timeout --json --help'; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    log) words='--follow --json --help'; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    *) words='--json --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _kcorectl kcorectl
