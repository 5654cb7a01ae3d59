package results

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"onsite/pipeline"
)

// Trail holds where and with which device people said to be, for the place check. It is made of the submissions' claims, and goes with
// them when a subject is erased or the verdict's time is over.
type Trail interface {
	// Steps gives the newest claims that a filter takes, the newest first.
	Steps(ctx context.Context, f StepFilter) ([]pipeline.Step, error)
}

// StepFilter says which earlier claims are wanted: those of the subject, or with a device those of all others with that device.
type StepFilter struct {
	Tenant, Subject string
	Device          string    // "": the subject's own
	Since           time.Time // received then or later
	Before          time.Time // received earlier, or in the same moment under a smaller id than Job: what comes later is invisible
	Job             string
	Newest          int // at most that many
}

// DeviceKey is what a tenant's device is looked up by: its id is kept in the claim alone. An empty id gives "".
func DeviceKey(tenant, id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(tenant + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}

// DeviceKey is that of the device that the submission's claim names; "" for none.
func (s Submission) DeviceKey() string {
	var c pipeline.Claim
	if json.Unmarshal(s.Claim, &c) != nil || c.Device == nil { // no claim, then
		return ""
	}
	return DeviceKey(s.Tenant, c.Device.ID)
}
