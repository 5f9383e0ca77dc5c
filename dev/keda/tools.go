//go:build tools

// Package tools names the commands of KEDA that the Keda provider is tested with, so that go.sum
// pins them.
package tools

import (
	_ "github.com/kedacore/keda/v2/cmd/adapter"
	_ "github.com/kedacore/keda/v2/cmd/operator"
	_ "github.com/kedacore/keda/v2/cmd/webhooks"
)
