# SPDX-License-Identifier: Apache-2.0
# bash completion for kcorectl(1)

_kcorectl_guests() {
    kcorectl --json list 2>/dev/null | grep -o '"guest":{"name":"[A-Za-z0-9_-]*"' | cut -d'"' -f6
}

_kcorectl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb= sub= i
    local verbs='launch list show console stop status top monitor metrics platform doctor log image measure attest verify convert define'

    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket) ((i++)) ;;
        -*) ;;
        *) verb=${COMP_WORDS[i]}; break ;;
        esac
    done
    [[ $verb != image ]] || ((i + 1 >= COMP_CWORD)) || sub=${COMP_WORDS[i + 1]}

    case $prev in
    -r | --reference | --platform | --platform-key | --kcore | -k | --kernel | -i | --initrd | --image | -d | --disk | --socket | -o | --output | -u | --uki | --key | --passphrase-file | --signer | --to)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames
        return
        ;;
    -n | --network)
        [[ $verb != @(verify|attest) ]] || return
        mapfile -t COMPREPLY < <(compgen -W 'none user tap:' -- "$cur")
        return
        ;;
    --hash)
        mapfile -t COMPREPLY < <(compgen -W 'sha256 sha512' -- "$cur")
        return
        ;;
    --max-shared | --min-version | --image-id | --root | --nonce | --connect) return ;;
    -p)
        [[ $verb == @(measure|verify|attest) ]] || return
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        compopt -o filenames
        return
        ;;
    -a | --append | -m | --memory | -c | --vcpus | --publish | --name | --uuid | -t | --timeout)
        return
        ;;
    esac

    local words=
    case $verb in
    '') words="$verbs --json --socket --help --version" ;;
    launch)
        words='--kernel --initrd --append --disk --memory --vcpus --network --publish --name --uuid
               --early-console --console --wait --json --help'
        if [[ $cur != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            compopt -o filenames 2>/dev/null
            return
        fi
        ;;
    show | console) words="--json --help"; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    stop) words='--all --force --timeout --json --help'; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    log) words='--follow --json --help'; [[ $cur == -* ]] || words=$(_kcorectl_guests) ;;
    image)
        case $sub in
        '') words='build key sign seal inspect verify --help' ;;
        build)
            words='--output --uki --kernel --initrd --append --memory --vcpus --name --early-console --hash
                   --max-shared --min-version --allow-debug --allow-snapshots --image-id --json --help'
            ;;
        key) words='--output --encrypt --passphrase-file --json --help' ;;
        sign) words='--key --passphrase-file --output --json --help' ;;
        seal) words='--to --root --output --json --help' ;;
        verify) words='--signer --json --help' ;;
        *) words='--json --help' ;;
        esac
        if [[ $cur != -* && $sub == @(sign|seal|inspect|verify) ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            compopt -o filenames 2>/dev/null
            return
        fi
        ;;
    measure | verify)
        words='--kernel --initrd --append --memory --vcpus --early-console --hash --platform --kcore --output --json --help'
        [[ $verb == measure ]] || words='--reference --nonce --platform --platform-key --agent --insecure --json --help'
        if [[ $cur != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            compopt -o filenames
            return
        fi
        ;;
    attest)
        words='--reference --nonce --platform --platform-key --output --insecure --json --help'
        [[ $cur == -* ]] || words=$(_kcorectl_guests)
        ;;
    convert | define)
        words='--image --output --json --help'
        [[ $verb == convert ]] || words='--image --connect --json --help'
        if [[ $cur != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            compopt -o filenames 2>/dev/null
            return
        fi
        ;;
    platform) words='--output --json --help' ;;
    top) words='--delay --iterations --json --help' ;;
    metrics) words='--http --json --help' ;;
    *) words='--json --help' ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _kcorectl kcorectl
