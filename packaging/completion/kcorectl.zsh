#compdef kcorectl
# SPDX-License-Identifier: Apache-2.0
# zsh completion for kcorectl(1)

_kcorectl_guests() {
    local -a guests
    guests=(${(f)"$(kcorectl --json list 2>/dev/null | grep -o '"guest":{"name":"[A-Za-z0-9_-]*"' | cut -d'"' -f6)"})
    _describe guest guests
}

_kcorectl() {
    local context state state_descr line
    typeset -A opt_args
    local -a verbs common
    verbs=(
        'launch:launch a guest'
        'list:list guests'
        'show:show one guest'
        "console:attach to a guest's serial console"
        'stop:stop guests'
        'status:show the state of core and daemon'
        'top:show what guests use, live'
        'monitor:show what happens to guests, as it happens'
        'metrics:print numbers for Prometheus'
        "platform:show the identity of this machine's KCore"
        'doctor:check whether this machine can run guests'
        "log:show KCore's log, or a guest's console log"
        'image:make, sign, seal and check images'
        "measure:compute what a guest's token must say"
        'attest:ask a guest for a token and verify it'
        'verify:verify an attestation token'
        'convert:make a libvirt domain a protected one'
        'define:the same, and define it in libvirt'
    )
    common=('(-j --json)'{-j,--json}'[machine-readable output]' '(-h --help)'{-h,--help}'[show help]')

    _arguments -C $common '--socket[where kcoresd listens]:socket:_files' '--version[show the version]' \
        '1:verb:->verb' '*::argument:->argument'

    case $state in
    verb) _describe verb verbs ;;
    argument)
        case $line[1] in
        launch)
            _arguments $common \
                '(-k --kernel)'{-k,--kernel}'[arm64 Image]:file:_files' \
                '(-i --initrd)'{-i,--initrd}'[initrd]:file:_files' \
                '(-a --append)'{-a,--append}'[kernel command line]:line:' \
                '*'{-d,--disk}'[disk image or device]:file:_files' \
                '(-m --memory)'{-m,--memory}'[private memory]:size:' \
                '(-c --vcpus)'{-c,--vcpus}'[number of vCPUs]:number:' \
                '(-n --network)'{-n,--network}'[network]:network:(none user tap\:)' \
                '*'{-p,--publish}'[forward a TCP port]:host\:guest:' \
                '--name[name]:name:' '--uuid[UUID]:uuid:' '--early-console[early kernel messages]' \
                '--console[attach to the console]' '--wait[return when the guest has ended]' '1:image:_files'
            ;;
        top)
            _arguments $common '(-d --delay)'{-d,--delay}'[length of an interval]:seconds:' \
                '(-n --iterations)'{-n,--iterations}'[number of intervals]:number:'
            ;;
        metrics) _arguments $common '--http[answer one HTTP request on standard input]' ;;
        show | console) _arguments $common '1:guest:_kcorectl_guests' ;;
        stop)
            _arguments $common '(-a --all)'{-a,--all}'[all guests that run]' '(-f --force)'{-f,--force}'[end it at once]' \
                '(-t --timeout)'{-t,--timeout}'[how long to wait]:seconds:' '*:guest:_kcorectl_guests'
            ;;
        log) _arguments $common '(-f --follow)'{-f,--follow}'[go on as more comes in]' '1:guest:_kcorectl_guests' ;;
        measure)
            _arguments $common \
                '(-o --output)'{-o,--output}'[write reference values]:file:_files' \
                '(-k --kernel)'{-k,--kernel}'[arm64 Image]:file:_files' \
                '(-i --initrd)'{-i,--initrd}'[initrd]:file:_files' \
                '(-a --append)'{-a,--append}'[kernel command line]:line:' \
                '(-m --memory)'{-m,--memory}'[private memory]:size:' \
                '(-c --vcpus)'{-c,--vcpus}'[number of vCPUs]:number:' \
                '--early-console[early kernel messages]' '--hash[of the measurement]:algorithm:(sha256 sha512)' \
                '(-p --platform)'{-p,--platform}'[identity document]:file:_files' '--kcore[kcore.bin]:file:_files' \
                '1:image:_files'
            ;;
        convert)
            _arguments $common '(-i --image)'{-i,--image}'[image of the domain]:file:_files' \
                '(-o --output)'{-o,--output}'[write the XML]:file:_files' '1:domain:_files'
            ;;
        define)
            _arguments $common '(-i --image)'{-i,--image}'[image of the domain]:file:_files' \
                '--connect[connection of libvirt]:URI:' '1:domain:_files'
            ;;
        platform) _arguments $common '(-o --output)'{-o,--output}'[write the identity document]:file:_files' ;;
        attest)
            _arguments $common \
                '(-r --reference)'{-r,--reference}'[reference values]:file:_files' \
                '(-n --nonce)'{-n,--nonce}'[nonce]:hex:' \
                '(-p --platform)'{-p,--platform}'[identity document]:file:_files' \
                "(-k --platform-key)"{-k,--platform-key}"[platform's public key]:file:_files" \
                '(-o --output)'{-o,--output}'[keep the token]:file:_files' \
                '--insecure[for trials]' '1:guest:_kcorectl_guests'
            ;;
        verify)
            _arguments $common \
                '(-r --reference)'{-r,--reference}'[reference values]:file:_files' \
                '(-n --nonce)'{-n,--nonce}'[nonce]:hex:' \
                '(-p --platform)'{-p,--platform}'[identity document]:file:_files' \
                "(-k --platform-key)"{-k,--platform-key}"[platform's public key]:file:_files" \
                '--agent[kcore-agent got the token]' '--insecure[for trials]' '1:token:_files'
            ;;
        image)
            local -a subverbs output passphrase
            subverbs=(build key sign seal inspect verify)
            output=('(-o --output)'{-o,--output}'[file to make]:file:_files')
            passphrase=('--passphrase-file[file with the passphrase]:file:_files')
            if ((CURRENT == 2)); then
                _values 'verb of image' $subverbs
                return
            fi
            case $line[2] in
            build)
                _arguments $common $output \
                    '(-u --uki)'{-u,--uki}'[unified kernel image]:file:_files' \
                    '(-k --kernel)'{-k,--kernel}'[arm64 Image]:file:_files' \
                    '(-i --initrd)'{-i,--initrd}'[initrd]:file:_files' \
                    '(-a --append)'{-a,--append}'[kernel command line]:line:' \
                    '(-m --memory)'{-m,--memory}'[private memory]:size:' \
                    '(-c --vcpus)'{-c,--vcpus}'[number of vCPUs]:number:' \
                    '--name[name]:name:' '--early-console[early kernel messages]' \
                    '--hash[of the measurement]:algorithm:(sha256 sha512)' \
                    '--max-shared[shared memory]:size:' '--min-version[of KCore]:version:' \
                    '--allow-debug[the host may debug]' '--allow-snapshots[the host may take snapshots]' \
                    '--image-id[32 bytes]:hex:' '*:: :'
                ;;
            key) _arguments $common $output $passphrase '--encrypt[ask for a passphrase]' '*:: :' ;;
            sign) _arguments $common $output $passphrase '--key[private key]:file:_files' '*:image:_files' ;;
            seal) _arguments $common $output '*--to[identity of a platform]:file:_files' '--root[SHA-256 of the root key]:hex:' '*:image:_files' ;;
            verify) _arguments $common '--signer[public key]:file:_files' '*:image:_files' ;;
            *) _arguments $common '*:image:_files' ;;
            esac
            ;;
        *) _arguments $common ;;
        esac
        ;;
    esac
}

_kcorectl "$@"
