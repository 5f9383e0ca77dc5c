//go:build tools

// Package tools names the command that the chart is tested with, so that go.sum pins it.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
