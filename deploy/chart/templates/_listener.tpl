{{/* The listener for gateways alone: its names, its URL, and which headers have their secrets there only. */}}

{{/* Where the program listens in the pod; fixed, as nothing outside the pod sees it. */}}
{{- define "oauth2-proxy.authContainerPort" -}}4183{{- end -}}

{{- define "oauth2-proxy.authName" -}}
{{- printf "%s-auth" (include "oauth2-proxy.fullname" . | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{/* A Service that leads nowhere, behind the path that ingress.exposeAuth=false closes. */}}
{{- define "oauth2-proxy.closedName" -}}
{{- printf "%s-closed" (include "oauth2-proxy.fullname" . | trunc 56 | trimSuffix "-") -}}
{{- end -}}

{{/* true, or false where the login's hosts shall not answer checks. A reused set of older values lacks the key. */}}
{{- define "oauth2-proxy.authExposed" -}}
{{- ne (toString .Values.ingress.exposeAuth) "false" -}}
{{- end -}}

{{/* Root of the service's own paths: from a flag, a variable or oauth2_proxy.cfg, as far as the values show them. */}}
{{- define "oauth2-proxy.prefix" -}}
{{- $prefix := "/oauth2" -}}
{{- $line := regexFind `(?m)^[ \t]*proxy_prefix[ \t]*=[ \t]*["'][^"']*["']` (include "oauth2-proxy.legacy-config.content" .) -}}
{{- with $line -}}{{- $prefix = regexReplaceAll `^.*?["']([^"']*)["']$` . "${1}" -}}{{- end -}}
{{- range tpl (.Values.extraEnv | default list | toYaml) . | fromYamlArray -}}
{{- if and (eq .name "OAUTH2_PROXY_PROXY_PREFIX") .value -}}{{- $prefix = .value -}}{{- end -}}
{{- end -}}
{{- $flag := include "oauth2-proxy.flag" (list . "proxy-prefix") -}}
{{- with $flag -}}{{- $prefix = . -}}{{- end -}}
{{- trimSuffix "/" $prefix -}}
{{- end -}}

{{/* What extraArgs give a flag, as a map or as a list of --NAME=VALUE; (list ROOT NAME). */}}
{{- define "oauth2-proxy.flag" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $found := "" -}}
{{- if kindIs "map" $root.Values.extraArgs -}}
{{- if hasKey $root.Values.extraArgs $name -}}
{{- $value := index $root.Values.extraArgs $name -}}
{{- $found = ternary "true" (tpl (toString $value) $root) (kindIs "invalid" $value) -}}
{{- end -}}
{{- else -}}
{{- range $root.Values.extraArgs -}}
{{- $arg := toString . -}}
{{- if regexMatch (printf "^--?%s$" $name) $arg -}}{{- $found = "true" -}}{{- end -}}
{{- if regexMatch (printf "^--?%s=" $name) $arg -}}{{- $found = regexReplaceAll "^[^=]*=" $arg "" -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $found -}}
{{- end -}}

{{- define "oauth2-proxy.authPath" -}}
{{- include "oauth2-proxy.prefix" . }}/auth
{{- end -}}

{{/* auth-url of the protected ingresses. */}}
{{- define "oauth2-proxy.authUrl" -}}
{{- printf "%s://%s.%s.svc.cluster.local:%v%s" .Values.httpScheme (include "oauth2-proxy.authName" .) (include "oauth2-proxy.namespace" .) .Values.authService.portNumber (include "oauth2-proxy.authPath" .) -}}
{{- end -}}

{{/* Names of answers' headers with a secret in them, one a line, as far as the values show them. */}}
{{- define "oauth2-proxy.secretHeaders" -}}
{{- $names := list -}}
{{- if .Values.alphaConfig.enabled -}}
{{- $whole := fromYaml (include "oauth2-proxy.alpha-config" .) -}}
{{- range $key, $rules := $whole -}}
{{- if and (eq (lower $key) "injectresponseheaders") (kindIs "slice" $rules) -}}
{{- range $rules -}}
{{- if regexMatch `(?i)"(secretSource|basicAuthPassword)":` (toJson .) -}}{{- $names = append $names (.name | default .Name) -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $inFile := regexMatch `(?m)^[ \t]*set_basic_auth[ \t]*=[ \t]*true` (include "oauth2-proxy.legacy-config.content" .) -}}
{{- $flag := include "oauth2-proxy.flag" (list . "set-basic-auth") -}}
{{- if or (eq $flag "true") (and $inFile (eq $flag "")) -}}{{- $names = append $names "Authorization" -}}{{- end -}}
{{- end -}}
{{- join "\n" $names -}}
{{- end -}}
