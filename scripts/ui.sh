# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Steps: one line each, with what it is doing while it runs, its time when it is
# done, and the end of its log when it failed. Sourced by ./kcore.
#
# A step is a command. What it prints goes to its log. If the last line of its
# log is "cached" or "cached: REMARK" the step is shown as cached; "done: REMARK"
# shows the remark.

ui_tty=false
ui_columns=80
ui_ok=ok ui_failed=FAILED ui_cached='--'
ui_spinner=('|' '/' '-' "\\")
ui_red='' ui_green='' ui_dim='' ui_bold='' ui_off=''

ui_init() {
    if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
        ui_tty=true
        if [ -z "${NO_COLOR:-}" ]; then
            ui_red=$'\e[31m' ui_green=$'\e[32m' ui_dim=$'\e[2m' ui_bold=$'\e[1m' ui_off=$'\e[0m'
        fi
        case "${LC_ALL:-${LC_CTYPE:-${LANG:-}}}" in
            *[Uu][Tt][Ff]*8*)
                ui_ok=✔ ui_failed=✘ ui_cached=✔
                ui_spinner=(⠋ ⠙ ⠹ ⠸ ⠼ ⠴ ⠦ ⠧ ⠇ ⠏)
                ;;
        esac
    fi
}

# ui_time SECONDS: 7 -> "7s", 200 -> "3m20s"
ui_time() {
    local s=$1
    if [ "$s" -lt 60 ]; then
        printf '%ds' "$s"
    elif [ "$s" -lt 3600 ]; then
        printf '%dm%02ds' $((s / 60)) $((s % 60))
    else
        printf '%dh%02dm%02ds' $((s / 3600)) $((s / 60 % 60)) $((s % 60))
    fi
}

ui_error() {
    printf '%skcore: %s%s\n' "$ui_red" "$1" "$ui_off" >&2
    shift
    local line
    for line in "$@"; do
        printf '  %s\n' "$line" >&2
    done
}

# Microseconds, whatever the locale's decimal mark is.
ui_now() { printf '%s' "${EPOCHREALTIME/[.,]/}"; }

# ui_tenths MICROSECONDS: "0.3s" below ten seconds, else ui_time
ui_elapsed() {
    local us=$1
    if [ "$us" -lt 10000000 ]; then
        printf '%d.%ds' $((us / 1000000)) $((us / 100000 % 10))
    else
        ui_time $((us / 1000000))
    fi
}

# The last line of a log that has something on it: without colours, carriage
# returns, control characters.
ui_last_line() {
    tail -c 2000 "$1" 2>/dev/null | tr '\r' '\n' |
        sed -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/[[:cntrl:]]//g' -e '/^[[:space:]]*$/d' | tail -n 1
}

ui_step_number=0
ui_step_total=0
ui_step_pid=
ui_log_dir=

# ui_steps DIRECTORY TOTAL: where logs go; how many steps to expect
ui_steps() {
    ui_log_dir=$1
    ui_step_total=$2
    mkdir -p "$ui_log_dir"
    if $ui_tty; then
        local size
        size=$(stty size 2>/dev/null </dev/tty) && [ "${size##* }" -gt 20 ] 2>/dev/null && ui_columns=${size##* }
    fi
}

ui_interrupted() {
    trap '' INT TERM
    if [ -n "$ui_step_pid" ]; then
        kill -TERM -- "-$ui_step_pid" 2>/dev/null
        for _ in {1..50}; do
            kill -0 -- "-$ui_step_pid" 2>/dev/null || break
            sleep 0.1
        done
        # Nothing else ends a PID namespace: its first process does not hear SIGTERM.
        kill -KILL -- "-$ui_step_pid" 2>/dev/null
        wait "$ui_step_pid" 2>/dev/null
    fi
    $ui_tty && printf '\r\e[K'
    echo "kcore: interrupted" >&2
    exit 130
}

# step LABEL COMMAND...: runs COMMAND as one step; its exit status is returned.
step() {
    local label=$1 head log start now spin=0 beat rc remark mark line
    shift
    ui_step_number=$((ui_step_number + 1))
    head=$(printf '[%*d/%d] %-24s' ${#ui_step_total} "$ui_step_number" "$ui_step_total" "$label")
    log=$(printf '%s/%02d-%s.log' "$ui_log_dir" "$ui_step_number" "$(tr -cs 'A-Za-z0-9' '-' <<<"${label,,}" | sed 's/-*$//')")
    start=$(ui_now)
    beat=$((start + 60000000))

    # A process group of its own, so that ^C can end all of it. What it leaves
    # running must not keep the lock that the front door holds on descriptor 9.
    trap ui_interrupted INT TERM
    set -m
    ("$@") </dev/null >"$log" 2>&1 9>&- &
    ui_step_pid=$!
    set +m
    while kill -0 "$ui_step_pid" 2>/dev/null; do
        sleep 0.1
        now=$(ui_now)
        if $ui_tty; then
            spin=$(((spin + 1) % ${#ui_spinner[@]}))
            line=$(printf '%s %s %7s  %s' "${ui_spinner[spin]}" "$head" "$(ui_time $(((now - start) / 1000000)))" "$(ui_last_line "$log")")
            printf '\r%s\e[K' "${line:0:ui_columns-1}"
        elif [ "$now" -ge "$beat" ]; then
            beat=$((beat + 60000000))
            printf '  %s %7s  ... %s\n' "$head" "$(ui_time $(((now - start) / 1000000)))" "$(ui_last_line "$log" | cut -c1-100)"
        fi
    done
    wait "$ui_step_pid"
    rc=$?
    ui_step_pid=
    trap - INT TERM
    now=$(ui_now)

    $ui_tty && printf '\r\e[K'
    remark=
    line=$(ui_last_line "$log")
    if [ "$rc" -ne 0 ]; then
        mark=$ui_red$ui_failed$ui_off
    else
        mark=$ui_green$ui_ok$ui_off
        case "$line" in
            cached) mark=$ui_dim$ui_cached$ui_off remark=cached ;;
            cached:\ *) mark=$ui_dim$ui_cached$ui_off remark="cached, ${line#cached: }" ;;
            done:\ *) remark=${line#done: } ;;
        esac
    fi
    printf '%s %s %7s%s\n' "$mark" "$head" "$(ui_elapsed $((now - start)))" "${remark:+  $ui_dim$remark$ui_off}"
    if [ "$rc" -ne 0 ]; then
        ui_step_failed "$label" "$rc" "$log"
    fi
    return "$rc"
}

ui_step_failed() {
    local label=$1 rc=$2 log=$3
    {
        printf '\n%sThe step "%s" failed (exit status %d).%s ' "$ui_bold" "$label" "$rc" "$ui_off"
        if [ -s "$log" ]; then
            echo "The end of its log:"
            echo
            tail -n 25 "$log" | tr '\r' '\n' | sed -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/^/    /'
        else
            echo "It printed nothing."
        fi
        printf '\nThe whole log: %s\n' "$log"
    } >&2
}
