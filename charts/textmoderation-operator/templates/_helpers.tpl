{{- define "textmod.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "textmod.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "textmod.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "textmod.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "textmod.selectorLabels" -}}
app.kubernetes.io/name: {{ include "textmod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "textmod.labels" -}}
{{- include "textmod.labelsWith" (dict "root" . "more" dict) }}
{{- end }}

{{- /* Each label once: those that select pods are the chart's, then what is given, then commonLabels. */}}
{{- define "textmod.labelsWith" -}}
{{- $selecting := include "textmod.selectorLabels" .root | fromYaml }}
{{- $defaults := dict
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/component" "operator"
  "app.kubernetes.io/part-of" "textmoderation"
  "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- toYaml (merge (dict) $selecting (default dict .more) (default dict .root.Values.commonLabels) $defaults) }}
{{- end }}

{{- define "textmod.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "textmod.fullname" .) .Values.serviceAccount.name }}
{{- else -}}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "textmod.image" -}}
{{- include "textmod.imageOf" (dict "root" . "image" .Values.image) }}
{{- end }}

{{- define "textmod.imageOf" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest }}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) }}
{{- end }}
{{- end }}

{{- /* The operator keeps its certificate in the Secret of this name (naming.CERTIFICATE_SECRET). */}}
{{- define "textmod.certificateSecret" -}}
{{- if eq .Values.metricsApi.certificate.source "Operator" -}}
textmod-operator-metrics-tls
{{- else -}}
{{- printf "%s-metrics-tls" (include "textmod.fullname" . | trunc 51 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{- define "textmod.certificateFrom" -}}
{{- if .Values.metricsApi.enabled }}{{ .Values.metricsApi.certificate.source }}{{ end }}
{{- end }}

{{- /* OpenShift assigns user and groups to each pod, and refuses the chart's own. */}}
{{- define "textmod.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext }}
{{- if .Capabilities.APIVersions.Has "security.openshift.io/v1" }}
{{- range $id := list "runAsUser" "runAsGroup" "fsGroup" }}
{{- if eq (get $context $id | toString) "65532" }}
{{- $context = omit $context $id }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $context }}
{{- end }}
