#!/bin/sh
# Starts Redis with one user, whose password is the secret: it may touch the queue's keys and nothing else.
# The file of users lies in memory; the password is in no command line, no environment and no image.
set -eu
umask 077
printf 'user default off\nuser cabacus on ~{%s}:* &{%s}:* +@all -@admin -@dangerous +info +keys #%s\nuser health on +ping nopass\n' \
    "$CABACUS_NAMESPACE" "$CABACUS_NAMESPACE" "$(tr -d '\r\n' </run/secrets/redis_password | sha256sum | cut -d ' ' -f 1)" \
    >/run/redis/users.acl
exec redis-server \
    --aclfile /run/redis/users.acl \
    --dir /data \
    --appendonly yes \
    --appendfsync "$REDIS_FSYNC" \
    --save '' \
    --maxmemory "$REDIS_MEMORY" \
    --maxmemory-policy noeviction \
    --tcp-keepalive 30
