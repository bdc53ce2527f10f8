{{/* Values that cannot be served, each with a sentence that says what to do. */}}
{{- define "oauth2-proxy.refusals" -}}
{{- if not .Values.persistence.enabled -}}
{{- fail "persistence.enabled=false is not built yet: a replica that comes back with an empty disk is not taken in, so each needs a volume. Leave it true and set persistence.storageClass and persistence.size." -}}
{{- end -}}
{{- if or .Values.cluster.tls.existingSecret .Values.cluster.tls.certManager -}}
{{- fail "cluster.tls with certificates of your own is not built yet. Leave it empty: the replicas mint theirs from the cookie secret, and the traffic between them is always mutual TLS." -}}
{{- end -}}
{{- if not (has .Values.gateway (list "" "ingress-nginx" "nginx" "traefik" "caddy" "envoy" "haproxy")) -}}
{{- fail (printf "gateway %q is not known: set ingress-nginx, nginx (a plain one with the block of the operating guide), traefik, caddy, envoy or haproxy, or leave it empty to read the headers that oauth2-proxy reads." .Values.gateway) -}}
{{- end -}}
{{- if or (lt (int .Values.replicaCount) 1) (gt (int .Values.replicaCount) 9) -}}
{{- fail (printf "replicaCount %v: set 1, 3, 5, 7 or 9. Three survive the loss of one, five of two; every replica holds all sessions." .Values.replicaCount) -}}
{{- end -}}
{{- $running := lookup "apps/v1" "StatefulSet" (include "oauth2-proxy.namespace" .) (include "oauth2-proxy.setName" .) -}}
{{- $wanted := include "oauth2-proxy.replicas" . | int -}}
{{- if and $running (ne (int $running.spec.replicas) $wanted) -}}
{{- fail (printf "replicaCount %d: the running set has %d replicas, and changing the members of a cluster is not built yet. Keep %d, or uninstall, delete the claims and install anew." $wanted (int $running.spec.replicas) (int $running.spec.replicas)) -}}
{{- end -}}
{{- if kindIs "map" .Values.extraArgs -}}
{{- range $key := list "peers" "self" "peer-address" "data-dir" "admin-address" "auth-address" -}}
{{- if hasKey $.Values.extraArgs $key -}}
{{- fail (printf "extraArgs.%s is set by the chart: take it out. replicaCount, cluster.*, persistence.* and authService.* are the values behind it." $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- range .Values.extraArgs -}}
{{- if regexMatch "^--?(peers|self|peer-address|data-dir|admin-address|auth-address)(=|$)" (toString .) -}}
{{- fail (printf "extraArgs: %s is set by the chart: take it out. replicaCount, cluster.*, persistence.* and authService.* are the values behind it." (regexFind "^[^=]*" .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $value, $port := dict "cluster.peerPort" .Values.cluster.peerPort "containerPort" .Values.containerPort -}}
{{- if eq (toString $port) (include "oauth2-proxy.authContainerPort" $) -}}
{{- fail (printf "%s %v is the port of the listener for gateways: choose another one." $value $port) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gatewayApi.enabled (not .Values.gatewayApi.gatewayRef) -}}
{{- fail "gatewayApi.enabled needs gatewayApi.gatewayRef: name and namespace of the Gateway that the HTTPRoute attaches to." -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled needs ingress.hosts, a list of host names: without one the Ingress would answer for every host." -}}
{{- end -}}
{{- if .Values.checkDeprecation -}}
{{- include "oauth2-proxy.refusals.renamed" . -}}
{{- end -}}
{{- end -}}

{{/* What oauth2-proxy's chart refuses as well. */}}
{{- define "oauth2-proxy.refusals.renamed" -}}
{{- if .Values.service.port -}}
{{- fail "service.port is now service.portNumber: rename it." -}}
{{- end -}}
{{- with .Values.alphaConfig -}}
{{- if and .enabled .existingConfig .existingSecret -}}
{{- fail "alphaConfig.existingConfig and alphaConfig.existingSecret exclude each other: give one." -}}
{{- end -}}
{{- if and .enabled (or .existingConfig .existingSecret) (or .serverConfigData .metricsConfigData .configData .configFile) -}}
{{- fail "alphaConfig.existingConfig or existingSecret is the whole file: take serverConfigData, metricsConfigData, configData and configFile out, or put their content into it." -}}
{{- end -}}
{{- end -}}
{{- range .Values.ingress.extraPaths -}}
{{- if or .backend.serviceName .backend.servicePort -}}
{{- fail "ingress.extraPaths has backends of an old Ingress version: write backend.service.name and backend.service.port." -}}
{{- end -}}
{{- end -}}
{{- end -}}
