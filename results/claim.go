package results

import (
	"encoding/json"
	"fmt"

	"onsite/pipeline"
)

// CoreClaim reads the submission's claim as the core takes it. Whose it is says the row, not the client; when it was taken says the
// client, else the time of the upload.
func (s Submission) CoreClaim() (pipeline.Claim, error) {
	var c pipeline.Claim
	if len(s.Claim) > 0 {
		if err := json.Unmarshal(s.Claim, &c); err != nil {
			return c, fmt.Errorf("read the claim of job %s: %w", s.Job, err)
		}
	}
	c.Job, c.Tenant, c.Subject, c.Site = s.Job, s.Tenant, s.Subject, s.Site
	if c.TakenAt.IsZero() {
		c.TakenAt = s.ReceivedAt
	}
	return c, nil
}
