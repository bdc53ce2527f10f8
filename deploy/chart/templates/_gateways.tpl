{{/* What to write at the gateway in front; (list ROOT AUTH-URL). */}}
{{- define "oauth2-proxy.notes.gateway" -}}
{{- $root := index . 0 -}}
{{- $url := index . 1 -}}
{{- $gateway := $root.Values.gateway -}}
{{- if eq $gateway "" -}}
gateway is not set: the original request is read from X-Forwarded-Proto, -Host and -Uri with --reverse-proxy, as
oauth2-proxy does. Rules that open without a login (skip_auth_*, trusted_ips) need to know it for certain: set
gateway=ingress-nginx, nginx (a plain one with the block of docs/operating.md), traefik or caddy. With envoy those on the
URL open at upstreams: ["static://200"] only, with haproxy none does.
{{- else if eq $gateway "nginx" -}}
For a plain nginx: the location of docs/operating.md, "Which gateway to set", whole. It sets each header that is read, and
drops those that are not; nginx hands on a client's otherwise.
{{- else if eq $gateway "ingress-nginx" -}}
Annotations for ingress-nginx, on each Ingress to protect:
  nginx.ingress.kubernetes.io/auth-url: {{ $url | quote }}
  nginx.ingress.kubernetes.io/auth-signin: "https://AUTH-HOST/oauth2/start?rd=https://$host$escaped_request_uri"
  nginx.ingress.kubernetes.io/auth-response-headers: "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Groups"
Leave auth-keepalive and auth-cache-key unset: the first lets only status 200 pass, the second hides sign-outs.
{{- else if eq $gateway "traefik" -}}
Middleware for Traefik, on each route to protect:
  forwardAuth:
    address: {{ $url }}
    trustForwardHeader: false
    authResponseHeaders: [X-Auth-Request-User, X-Auth-Request-Email, X-Auth-Request-Groups]
A 401 is handed to the browser as it is: add an errors middleware for 401 with query /oauth2/sign_in?rd={url}.
{{- else if eq $gateway "caddy" -}}
For Caddy, in each site to protect:
  forward_auth {{ $url | trimSuffix "/oauth2/auth" }} {
    uri /oauth2/auth
    copy_headers X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups
    @denied status 401
    handle_response @denied { redir https://AUTH-HOST/oauth2/start?rd={scheme}://{host}{uri} }
  }
{{- else if eq $gateway "envoy" -}}
For Envoy's HTTP ext_authz: path prefix /oauth2/auth at {{ $url | trimSuffix "/oauth2/auth" }}, and the header Cookie among
those that are sent on. Envoy takes only 200 for yes:
  extraArgs: {auth-ok-status: "200"}
{{- else if eq $gateway "haproxy" -}}
Annotations for HAProxy Ingress, on each Ingress to protect:
  haproxy-ingress.github.io/auth-url: {{ $url | quote }}
  haproxy-ingress.github.io/auth-signin: "https://AUTH-HOST/oauth2/start?rd=https://%[hdr(host)]%[path]"
  haproxy-ingress.github.io/auth-headers-succeed: "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Groups"
{{- end -}}
{{- end -}}
