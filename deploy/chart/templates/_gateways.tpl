{{/*
What to write at the gateway in front; (list ROOT AUTH-URL). What stands between fences is run by a test as it is printed:
only the words in capitals are the reader's.
*/}}
{{- define "oauth2-proxy.notes.gateway" -}}
{{- $root := index . 0 -}}
{{- $gateway := $root.Values.gateway -}}
{{- $service := printf "%s.%s.svc.cluster.local:%v" (include "oauth2-proxy.fullname" $root) (include "oauth2-proxy.namespace" $root) $root.Values.service.portNumber -}}
{{- $names := list "X-Auth-Request-User" "X-Auth-Request-Email" "X-Auth-Request-Groups" "X-Auth-Request-Preferred-Username" -}}
{{- $facts := dict "root" $root "url" (index . 1) "service" $service "names" $names -}}
{{- if eq $gateway "" -}}
gateway is not set: the original request is read from X-Forwarded-Proto, -Host and -Uri with --reverse-proxy, as
oauth2-proxy does. Rules that open without a login (skip_auth_*, trusted_ips) need to know it for certain: set
gateway=ingress-nginx, nginx, traefik, caddy, haproxy or envoy (rules on the URL and method alone).
{{- else if eq $gateway "nginx" -}}
{{- include "oauth2-proxy.notes.nginx" $facts -}}
{{- else if eq $gateway "ingress-nginx" -}}
{{- include "oauth2-proxy.notes.ingress-nginx" $facts -}}
{{- else if eq $gateway "traefik" -}}
{{- include "oauth2-proxy.notes.traefik" $facts -}}
{{- else if eq $gateway "caddy" -}}
{{- include "oauth2-proxy.notes.caddy" $facts -}}
{{- else if eq $gateway "envoy" -}}
{{- include "oauth2-proxy.notes.envoy" $facts -}}
{{- else if eq $gateway "haproxy" -}}
{{- include "oauth2-proxy.notes.haproxy" $facts -}}
{{- end -}}
{{- end -}}

{{- define "oauth2-proxy.notes.ingress-nginx" -}}
For ingress-nginx. AUTH-HOST is the host at which people log in, DOMAIN the domain that it shares with your apps; …-AND-PORT is
the same with the port that browsers name, if they name one. In the values of this release:
```yaml values
extraArgs:
  set-xauthrequest: "true"
  cookie-domain: .DOMAIN
  whitelist-domain: .DOMAIN-AND-PORT
ingress:
  enabled: true
  path: /oauth2
  pathType: Prefix
  hosts: [AUTH-HOST]
```
As annotations on each Ingress to protect:
```yaml annotations
nginx.ingress.kubernetes.io/auth-url: {{ .url | quote }}
nginx.ingress.kubernetes.io/auth-signin: "https://AUTH-HOST-AND-PORT/oauth2/start?rd=https://$http_host$escaped_request_uri"
nginx.ingress.kubernetes.io/auth-response-headers: {{ join "," .names | quote }}
```
nginx takes a client's copies of the headers named there away. Leave auth-keepalive and auth-cache-key unset: the first lets
only status 200 pass, the second hides sign-outs.
{{- end -}}

{{- define "oauth2-proxy.notes.nginx" -}}
For a plain nginx. In the values of this release:
```yaml values
extraArgs:
  set-xauthrequest: "true"
```
In the server block of each app, whose address is APP (nginx drops headers with underscores by itself):
```nginx
location /oauth2/ {
    proxy_pass http://{{ .service }};
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
}
location = /oauth2/auth {
    internal;
    proxy_pass {{ .url }};
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
    proxy_set_header X-Original-Method $request_method;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-Method "";
    proxy_set_header X-Forwarded-Uri "";
}
location @login {
    rewrite ^ /oauth2/start? break;
    proxy_pass http://{{ .service }};
    proxy_method GET;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Auth-Request-Redirect $request_uri;
}
location / {
    auth_request /oauth2/auth;
    error_page 401 = @login;
{{- range .names }}
{{- $variable := . | lower | replace "-" "_" }}
    auth_request_set $conclave_{{ $variable }} $upstream_http_{{ $variable }};
    proxy_set_header {{ . }} $conclave_{{ $variable }};
{{- end }}
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_pass http://APP;
}
```
{{- end -}}

{{- define "oauth2-proxy.notes.traefik" -}}
For Traefik 3. APP-HOST is the host of an app, APP-HOST-AND-PORT the same with the port that browsers name, if they name
one, APP-NAMESPACE and APP its namespace and Service. In the values of this release:
```yaml values
extraArgs:
  set-xauthrequest: "true"
  whitelist-domain: APP-HOST-AND-PORT
```
Among Traefik's own arguments (the second one drops a client's X_Auth_Request_User, which some apps read as the real one):
```text arguments
--providers.kubernetescrd.allowCrossNamespace=true
--entrypoints.websecure.http.aliasHeadersStrategy=delete
```
Three middlewares in one chain, and a route for /oauth2/ on each app's host, without which nobody gets back from the login:
```yaml objects
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: conclave
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  chain:
    middlewares: [{name: conclave-clean}, {name: conclave-login}, {name: conclave-check}]
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: conclave-clean
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  headers:
    customRequestHeaders:
    {{- range .names }}
      {{ . }}: ""
    {{- end }}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: conclave-login
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  errors:
    status: ["401"]
    statusRewrites: {"401": 302}
    service: {name: {{ include "oauth2-proxy.fullname" .root }}, port: {{ .root.Values.service.portNumber }}}
    query: /oauth2/start?rd={url}
---
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata:
  name: conclave-check
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  forwardAuth:
    address: {{ .url }}
    authResponseHeaders:
    {{- range .names }}
    - {{ . }}
    {{- end }}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata:
  name: conclave
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  entryPoints: [websecure]
  routes:
  - kind: Rule
    match: Host(`APP-HOST`) && PathPrefix(`/oauth2/`)
    services: [{name: {{ include "oauth2-proxy.fullname" .root }}, port: {{ .root.Values.service.portNumber }}}]
  tls: {}
---
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata:
  name: app
  namespace: APP-NAMESPACE
spec:
  entryPoints: [websecure]
  routes:
  - kind: Rule
    match: Host(`APP-HOST`)
    middlewares: [{name: conclave, namespace: {{ include "oauth2-proxy.namespace" .root }}}]
    services: [{name: APP, port: 80}]
  tls: {}
```
Leave trustForwardHeader out: its default believes no client, and a false that is written there drops X-Real-Ip as well.
A background request without a session gets 302 without a Location, since Traefik rewrites the status of every 401.
{{- end -}}

{{- define "oauth2-proxy.notes.caddy" -}}
For Caddy. In the values of this release:
```yaml values
extraArgs:
  set-xauthrequest: "true"
```
In the site of each app, whose address is APP (the order in `route` counts: a client's own headers go first):
```caddyfile
handle /oauth2/* {
	reverse_proxy {{ .service }}
}
handle {
	route {
		request_header -*_*
		request_header -X-Auth-Request-*
		forward_auth {{ .url | trimSuffix "/oauth2/auth" }} {
			uri /oauth2/auth
			copy_headers {{ join " " .names }}
			@nobody status 401
			handle_response @nobody {
				method GET
				rewrite * /oauth2/start?
				reverse_proxy {{ .service }} {
					header_up X-Auth-Request-Redirect {http.request.orig_uri}
				}
			}
		}
		reverse_proxy APP
	}
}
```
{{- end -}}

{{- define "oauth2-proxy.notes.envoy" -}}
For Envoy Gateway. Envoy asks about each request by its own method and path (so no path prefix), and takes only 200 for yes:
upstreams static://200 means that Conclave answers 200 at every path to who may pass, and shows others to the login.
APP-HOST is the host of an app, APP-NAMESPACE and APP-ROUTE its namespace and HTTPRoute, GATEWAY-NAMESPACE and GATEWAY those
of the Gateway. In the values of this release:
```yaml values
config:
  upstreams: ["static://200"]
extraArgs:
  set-xauthrequest: "true"
  skip-provider-button: "true"
gatewayApi:
  enabled: true
  gatewayRef: {name: GATEWAY, namespace: GATEWAY-NAMESPACE}
  hostnames: [APP-HOST]
  rules:
  - matches: [{path: {type: PathPrefix, value: /oauth2/}}]
```
Beside them (the first one takes a client's own headers away before anything is asked):
```yaml objects
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata:
  name: conclave
  namespace: GATEWAY-NAMESPACE
spec:
  targetRefs:
  - {group: gateway.networking.k8s.io, kind: Gateway, name: GATEWAY}
  headers:
    withUnderscoresAction: RejectRequest
    earlyRequestHeaders:
      remove:
      {{- range .names }}
      - {{ . }}
      {{- end }}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: SecurityPolicy
metadata:
  name: conclave
  namespace: APP-NAMESPACE
spec:
  targetRefs:
  - {group: gateway.networking.k8s.io, kind: HTTPRoute, name: APP-ROUTE}
  extAuth:
    headersToExtAuth: [Cookie, Accept, Sec-Fetch-Dest, X-Forwarded-Proto, X-Envoy-External-Address]
    http:
      backendRefs:
      - {name: {{ include "oauth2-proxy.fullname" .root }}, namespace: {{ include "oauth2-proxy.namespace" .root }}, port: {{ .root.Values.service.portNumber }}}
      headersToBackend:
      {{- range .names }}
      - {{ . }}
      {{- end }}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata:
  name: conclave
  namespace: {{ include "oauth2-proxy.namespace" .root }}
spec:
  from:
  - {group: gateway.envoyproxy.io, kind: SecurityPolicy, namespace: APP-NAMESPACE}
  to:
  - {group: "", kind: Service, name: {{ include "oauth2-proxy.fullname" .root }}}
```
Of each app /ping, /ready and /robots.txt are open to everybody this way: Conclave answers these itself.
{{- end -}}

{{- define "oauth2-proxy.notes.haproxy" -}}
For HAProxy Ingress. AUTH-HOST is the host at which people log in, DOMAIN the domain that it shares with your apps; …-AND-PORT is
the same with the port that browsers name, if they name one. In the values of this release:
```yaml values
extraArgs:
  set-xauthrequest: "true"
  cookie-domain: .DOMAIN
  whitelist-domain: .DOMAIN-AND-PORT
ingress:
  enabled: true
  path: /oauth2
  pathType: Prefix
  hosts: [AUTH-HOST]
```
In the ConfigMap of the controller, so that nothing of these comes from a client:
```yaml configmap
config-frontend-early: |
  http-request del-header _ -m sub
  http-request del-header X-Auth-Request- -m beg
  http-request del-header X-Original- -m beg
  http-request set-header X-Forwarded-Method %[method]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header X-Forwarded-Uri %[pathq]
  http-request set-header X-Real-IP %[src]
```
As annotations on each Ingress to protect:
```yaml annotations
haproxy-ingress.github.io/auth-url: {{ .url | quote }}
haproxy-ingress.github.io/auth-signin: "https://AUTH-HOST-AND-PORT/oauth2/start?rd=https://%[req.hdr(Host),url_enc]%[pathq,url_enc]"
haproxy-ingress.github.io/auth-headers-succeed: {{ join "," .names | quote }}
```
With auth-signin the controller sends every request that may not pass to the login, those that a rule refuses (403) too.
{{- end -}}
