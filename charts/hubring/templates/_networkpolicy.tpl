{{/* hubring.connections: who may open a connection to which port of whom, a component each. In from are
     components, and the lists of values networkPolicy has: pushers, queriers, monitors. What is not installed
     is left out where it is read. */}}
{{- define "hubring.connections" -}}
{{- $distributed := include "hubring.distributed" . | empty | not -}}
{{- $leaves := ternary "thanos-query-shard, thanos-query-global" "thanos-query, thanos-query-archive" $distributed -}}
edgehub:
  # What a hub has is for its own Prometheus, which a policy for each hub lets in. On one port with pushes
  # who may push could scrape, too. One that stops may hand over what it has to another. The placement is made by the lists of gateways, which are there.
  - {ports: [http], from: [pushers{{ if include "hubring.handsOver" . }}, edgehub{{ end }}]}
  - {ports: [{{ include "hubring.scrapePort" . }}], from: [placement, monitors]}
# It is asked nothing.
placement: []
prometheus:
  # A hub asks its own server what that has stored. It only reads, so no policy tells the numbers apart.
  # hubquery asks all of them. One of a pair tells how the other one is. The ruler writes what its rules make to the first.
  - {ports: [http], from: [{{ if not (include "hubring.victoria" .) }}edgehub, {{ end }}{{ if include "hubring.shards" . }}hubquery, thanos-rule, {{ if include "hubring.peers" . }}prometheus, {{ end }}{{ end }}queriers, monitors]}
  {{- if include "hubring.querier" . }}
  - {ports: [grpc], from: [{{ ternary "thanos-query-shard" "thanos-query" $distributed }}]}
  {{- end }}
  {{- if include "hubring.sidecars" . }}
  - {ports: [http-sidecar], from: [{{ if include "hubring.peers" . }}prometheus, {{ end }}monitors]}
  {{- end }}
alertmanager:
  - {ports: [http], from: [prometheus, thanos-rule, queriers, monitors]}
  {{- if gt (int .Values.alertmanager.replicas) 1 }}
  - {ports: [cluster-tcp, cluster-udp], from: [alertmanager]}
  {{- end }}
# With a query over all servers the first Prometheus scrapes what the others are made of.
hubquery:
  - {ports: [http], from: [prometheus, thanos-rule, thanos-query-frontend, queriers, monitors]}
thanos-query:
  - {ports: [http], from: [prometheus, thanos-rule, thanos-query-frontend, queriers, monitors]}
thanos-query-shard:
  - {ports: [grpc], from: [thanos-query]}
  - {ports: [http], from: [prometheus, monitors]}
thanos-query-global:
  - {ports: [grpc], from: [thanos-query]}
  - {ports: [http], from: [prometheus, monitors]}
thanos-query-archive:
  - {ports: [http], from: [prometheus, hubquery, monitors]}
thanos-query-frontend:
  - {ports: [http], from: [prometheus, queriers, monitors]}
thanos-rule:
  - {ports: [grpc], from: [{{ ternary "thanos-query-global" "thanos-query" $distributed }}]}
  - {ports: [http, http-keeper], from: [prometheus, monitors]}
thanos-store:
  - {ports: [grpc], from: [{{ $leaves }}]}
  - {ports: [http], from: [prometheus, monitors]}
thanos-compact:
  - {ports: [http], from: [prometheus, monitors]}
{{- end -}}

{{/* hubring.installed: the components that there are, a JSON list. */}}
{{- define "hubring.installed" -}}
{{- $v := .Values -}}
{{- $installed := list "edgehub" "prometheus" -}}
{{- if $v.placement.enabled }}{{ $installed = append $installed "placement" }}{{ end -}}
{{- if $v.alertmanager.enabled }}{{ $installed = append $installed "alertmanager" }}{{ end -}}
{{- if include "hubring.global" . }}{{ $installed = append $installed "thanos-rule" }}{{ end -}}
{{- if include "hubring.shards" . }}{{ $installed = append $installed "hubquery" }}{{ end -}}
{{- if include "hubring.querier" . }}{{ $installed = append $installed "thanos-query" }}{{ end -}}
{{- if include "hubring.archive" . }}{{ $installed = append $installed "thanos-query-archive" }}{{ end -}}
{{- if include "hubring.distributed" . }}{{ $installed = concat $installed (list "thanos-query-shard" "thanos-query-global") }}{{ end -}}
{{- if $v.thanos.queryFrontend.enabled }}{{ $installed = append $installed "thanos-query-frontend" }}{{ end -}}
{{- if $v.objectStorage.enabled }}{{ $installed = concat $installed (list "thanos-store" "thanos-compact") }}{{ end -}}
{{- toJson $installed -}}
{{- end -}}

{{/* hubring.policyPeers: a list of NetworkPolicyPeers, or nothing. Call with (dict "root" $ "from" list). */}}
{{- define "hubring.policyPeers" -}}
{{- $root := .root -}}
{{- $installed := include "hubring.installed" $root | fromJsonArray -}}
{{- range .from }}
{{- if hasKey $root.Values.networkPolicy . }}
{{- with get $root.Values.networkPolicy . }}
{{ toYaml . }}
{{- end }}
{{- else if has . $installed }}
- podSelector:
    matchLabels:
      {{- include "hubring.selectorLabels" (dict "root" $root "component" .) | nindent 6 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* hubring.policyPorts: call with the names of ports, a list. */}}
{{- define "hubring.policyPorts" -}}
{{- $ports := list -}}
{{- range . }}{{ $ports = append $ports (dict "port" . "protocol" (hasSuffix "-udp" . | ternary "UDP" "TCP")) }}{{ end -}}
{{- toJson $ports -}}
{{- end -}}
