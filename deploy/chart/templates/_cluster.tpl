{{/* Numbers and names of the cluster. */}}

{{/* An even number survives no more losses than the odd one below it, so it becomes the odd one above. */}}
{{- define "oauth2-proxy.replicas" -}}
{{- $n := int .Values.replicaCount -}}
{{- add $n (ternary 1 0 (eq (mod $n 2) 0)) -}}
{{- end -}}

{{/* How many may be away while a majority goes on. */}}
{{- define "oauth2-proxy.spare" -}}
{{- div (sub (include "oauth2-proxy.replicas" . | int) 1) 2 -}}
{{- end -}}

{{/* Host of every peer: a name that stays whatever address its pod gets; (list ROOT POD). */}}
{{- define "oauth2-proxy.peerHost" -}}
{{- $root := index . 0 -}}
{{- $host := printf "%s.%s.%s.svc" (index . 1) (include "oauth2-proxy.peersName" $root) (include "oauth2-proxy.namespace" $root) -}}
{{- with $root.Values.cluster.domain }}{{ $host = printf "%s.%s" $host . }}{{ end -}}
{{- printf "%s:%d" $host (int $root.Values.cluster.peerPort) -}}
{{- end -}}

{{- define "oauth2-proxy.peers" -}}
{{- $peers := list -}}
{{- range $ordinal := until (include "oauth2-proxy.replicas" . | int) -}}
{{- $peers = append $peers (include "oauth2-proxy.peerHost" (list $ (printf "%s-%d" (include "oauth2-proxy.setName" $) $ordinal))) -}}
{{- end -}}
{{- join "," $peers -}}
{{- end -}}

{{/* The strictest of floor((n-1)/2) and what the values ask for. */}}
{{- define "oauth2-proxy.maxUnavailable" -}}
{{- $spare := include "oauth2-proxy.spare" . | int -}}
{{- $wanted := $spare -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and (not (kindIs "invalid" $budget.maxUnavailable)) (not (contains "%" (toString $budget.maxUnavailable))) -}}
{{- $wanted = int $budget.maxUnavailable -}}
{{- else if and $budget.minAvailable (not (contains "%" (toString $budget.minAvailable))) -}}
{{- $wanted = max 0 (sub (include "oauth2-proxy.replicas" . | int) (int $budget.minAvailable)) -}}
{{- end -}}
{{- min $wanted $spare -}}
{{- end -}}

{{- define "oauth2-proxy.grace" -}}
{{- .Values.terminationGracePeriodSeconds | default (add .Values.cluster.drainDelaySeconds 50) | int -}}
{{- end -}}

{{/* The TCP ports that the network policy leaves open to everyone, as ranges around those that it closes. */}}
{{- define "oauth2-proxy.otherPorts" -}}
{{- $closed := list (printf "%05d" (int .Values.cluster.peerPort)) -}}
{{- if .Values.networkPolicy.gateways -}}
{{- $closed = append $closed (printf "%05d" (include "oauth2-proxy.authContainerPort" . | atoi)) -}}
{{- end -}}
{{- if .Values.networkPolicy.metrics -}}
{{- $closed = append $closed "44180" -}}
{{- end -}}
{{- $from := 1 -}}
{{- $ranges := list -}}
{{- range append (sortAlpha $closed) "65536" -}}
{{- $to := sub (atoi .) 1 -}}
{{- if le $from (int $to) -}}
{{- $ranges = append $ranges (printf "- port: %d\n  endPort: %d\n  protocol: TCP" $from $to) -}}
{{- end -}}
{{- $from = int (add (atoi .) 1) -}}
{{- end -}}
{{- join "\n" $ranges -}}
{{- end -}}

{{- define "oauth2-proxy.containerPort" -}}
{{- .Values.containerPort | default (ternary 4443 4180 (eq .Values.httpScheme "https")) | int -}}
{{- end -}}
