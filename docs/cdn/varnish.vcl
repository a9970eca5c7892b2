# Varnish 7 in front of product-catalog with CDN_HEADERS=true: keeps answers as long as
# CDN-Cache-Control says, revalidates them with If-None-Match, purges them by Surrogate-Key, and
# serves the last copy while no replica answers. tests/shared_cache.rs runs this very file.
#
#   varnishd -a :80 -f /etc/varnish/varnish.vcl -p http_gzip_support=off
#
# http_gzip_support=off: the service has its own gzip, br and zstd bodies, each with its own strong
# tag. Varnish would unpack them and weaken the tags.
#
# xkey is in Debian's package varnish-modules.

vcl 4.1;

import std;
import xkey;

backend catalog {
    .host = "127.0.0.1"; # where the service listens
    .port = "8080";
    .probe = {
        .url = "/health/ready";
        .interval = 1s;
        .timeout = 1s;
        .window = 3;
        .threshold = 2;
        .initial = 2;
    }
}

# Who may purge.
acl purgers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    # PURGE / with xkey: "product:KETTLE-17", or several keys with spaces between.
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(403));
        }
        if (!req.http.xkey) {
            return (synth(400));
        }
        set req.http.x-purged = xkey.purge(req.http.xkey);
        return (synth(200, req.http.x-purged));
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (pass);
    }

    # Answers about products have two versions and vary by Accept: of the many ways to ask for one of
    # them, leave two. Who weighs several, or asks for something else, gets what it asks for. Live stock
    # has no versions, and neither have /openapi and /docs.
    if (req.url ~ "^/(products|categories|brands)([/?]|$)" && req.url !~ "^/products/[^/?]+/availability") {
        if (!req.http.Accept
            || req.http.Accept ~ {"(?i)^\s*(\*/\*|application/\*|application/json(\s*;\s*v="?2"?)?)?\s*$"}) {
            set req.http.Accept = "application/json;v=2";
        } elsif (req.http.Accept ~ {"(?i)^\s*application/json\s*;\s*v="?1"?\s*$"}) {
            set req.http.Accept = "application/json;v=1";
        }
    }

    # Answers vary by Accept-Encoding: of the many ways to say the same, leave four.
    if (req.http.Accept-Encoding) {
        if (req.http.Accept-Encoding ~ "q=") {
            # A client with wishes of its own gets what it asks for.
        } elsif (req.http.Accept-Encoding ~ "\bbr\b") {
            set req.http.Accept-Encoding = "br";
        } elsif (req.http.Accept-Encoding ~ "\bzstd\b") {
            set req.http.Accept-Encoding = "zstd";
        } elsif (req.http.Accept-Encoding ~ "\bgzip\b") {
            set req.http.Accept-Encoding = "gzip";
        } else {
            unset req.http.Accept-Encoding;
        }
    }

    # While a replica answers, what is past its time is not served: its window is over, or nearly.
    # When none does, it is, for as long as stale-if-error allows.
    if (req.restarts == 0 && std.healthy(req.backend_hint)) {
        set req.grace = 0s;
    }
    return (hash);
}

sub vcl_backend_response {
    set beresp.grace = 0s;
    set beresp.keep = 0s;
    if (beresp.http.CDN-Cache-Control ~ "max-age=") {
        set beresp.ttl = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*\bmax-age=(\d+).*$", "\1s"), 0s);
        if (beresp.http.CDN-Cache-Control ~ "stale-if-error=") {
            set beresp.grace = std.duration(regsub(beresp.http.CDN-Cache-Control, "^.*\bstale-if-error=(\d+).*$", "\1s"), 0s);
        }
        # Past its time, a copy with a tag is still good for a conditional request.
        set beresp.keep = 1h;
    } elsif (beresp.http.Cache-Control ~ "no-store|private") {
        set beresp.uncacheable = true;
        set beresp.ttl = 0s;
    }
    # A refresh in the background that fails does not cost us the copy.
    if (beresp.status >= 500 && bereq.is_bgfetch) {
        return (abandon);
    }
    set beresp.http.xkey = beresp.http.Surrogate-Key;
    return (deliver);
}

sub vcl_deliver {
    # No replica answered: once more, with all the grace that the copy has.
    if (resp.status == 503 && req.restarts == 0 && (req.method == "GET" || req.method == "HEAD")) {
        return (restart);
    }
    # For the shared cache alone (RFC 9213).
    unset resp.http.CDN-Cache-Control;
    unset resp.http.Surrogate-Key;
    unset resp.http.xkey;
    if (obj.hits > 0) {
        set resp.http.x-cache = "hit";
    } else {
        set resp.http.x-cache = "miss";
    }
}

sub vcl_synth {
    if (req.method == "PURGE") {
        set resp.http.Content-Type = "text/plain";
        synthetic(resp.reason);
        return (deliver);
    }
}
