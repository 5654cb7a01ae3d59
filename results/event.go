package results

import (
	"encoding/json"
	"fmt"
	"time"

	"onsite/pipeline"
)

// Event is what a webhook message says, in the form that the Standard Webhooks specification recommends. It is thin: it names the job and
// how it ended, and the receiver asks the API for the rest with its own key.
type Event struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      EventData `json:"data"`
}

// EventData is what an event is about. It has no scores, reasons, names or places.
type EventData struct {
	Tenant   string            `json:"tenant"`
	Job      string            `json:"job"`
	Subject  string            `json:"subject,omitempty"`
	Site     string            `json:"site,omitempty"`
	State    JobState          `json:"state,omitempty"`
	Revision int               `json:"revision,omitempty"` // of the verdict
	Decision pipeline.Decision `json:"decision,omitempty"`
	Rule     string            `json:"rule,omitempty"` // why it was refused or given up: a stable name
}

// Payload gives the event as JSON, as Finish and Revise take it.
func (e Event) Payload() []byte {
	e.Timestamp = e.Timestamp.UTC()
	text, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("an event of plain words cannot be JSON: %v", err))
	}
	return text
}
