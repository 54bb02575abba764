#!/bin/sh
# Starts Redis with one user, whose password is the secret: it may touch the queue's keys and nothing else.
# The file of users lies in memory; the password is in no command line, no environment and no image.
# Nobody can be `default`, but Redis itself is when it reads its log: were it allowed nothing, each transaction in the log
# would be passed over, and what it wrote be lost.
set -eu
umask 077
printf 'user default off resetpass ~* &* +@all\nuser cabacus on ~{%s}:* &{%s}:* +@all -@admin -@dangerous +info +keys #%s\nuser health on +ping nopass\n' \
    "$CABACUS_NAMESPACE" "$CABACUS_NAMESPACE" "$(tr -d '\r\n' </run/secrets/redis_password | sha256sum | cut -d ' ' -f 1)" \
    >/tmp/users.acl
exec redis-server \
    --aclfile /tmp/users.acl \
    --dir /data \
    --appendonly yes \
    --appendfsync "$REDIS_FSYNC" \
    --save '' \
    --maxmemory "$REDIS_MEMORY" \
    --maxmemory-policy noeviction \
    --tcp-keepalive 30
