package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
	"onsite/pipeline/scene"
	"onsite/pipeline/verify"
	"onsite/results"
)

// Core is what the API asks of the verification core: to look at pictures before they are enrolled, and which models there are.
type Core interface {
	// Enroll looks at photos that are to be added to those that a subject has (by their rows): each must show one good face, and all must
	// show one person. Templates are there only when all are good. Errors are those of the machine, never of a photo.
	Enroll(ctx context.Context, tenant, subject string, add []NewPhoto, enrolled []results.Photo) (Looked, error)
	// LookAlike finds other subjects of the tenant whose enrolled face is very like these templates.
	LookAlike(ctx context.Context, tenant, subject string, templates []results.Template) ([]LookAlike, error)
	// CheckSite decodes the references of a site and says what is wrong with them as a *scene.SiteError. Other errors are those of the machine.
	// It gives what the site's rooms look like; nil without any.
	CheckSite(ctx context.Context, site *pipeline.Site) (*pipeline.RoomVectors, error)
	// TrySite says what every reference and every name of a site makes of a photo taken at the time. *media.Refusal with the photo's name for one that
	// cannot be read; other errors as those of CheckSite.
	TrySite(ctx context.Context, site *pipeline.Site, photo pipeline.Media, at time.Time) (scene.Trial, error)
	// Reconsider compares a finished job once more under the marks that are in force, and writes a further revision of its verdict where that
	// changes something. It gives the newest verdict, and whether it is new. results.ErrNotFound without a verdict, ErrNoFootage,
	// *verify.OtherPolicyError; any other error is one of the moment.
	Reconsider(ctx context.Context, tenant, job string) (v results.Verdict, changed bool, err error)
	// Reverify makes the first revision of a verdict again from the inputs that it names, on one thread, and writes nothing. The recipe is
	// "pinned", "current" or a digest. results.ErrNotFound without a verdict, *CannotReverify; any other error is one of the moment.
	Reverify(ctx context.Context, tenant, job, recipe string) (Reverified, error)
	// Models lists what this server runs.
	Models() []Model
}

// Reverified is a verdict beside the one that was made of the same inputs.
type Reverified struct {
	verify.Comparison
	Gone    int
	Verdict pipeline.Verdict
}

// CannotReverify says why a verdict cannot be made again.
type CannotReverify struct {
	State string
	Text  pipeline.Text
}

func (e *CannotReverify) Error() string { return e.Text.EN }

// NewPhoto is a photo that is to be enrolled under an id that it has already.
type NewPhoto struct {
	ID    string
	Media pipeline.Media
}

// ErrMeasuring says that this installation measures the service itself and never has models, so that nobody can be looked at.
var ErrMeasuring = errors.New("this installation is for measurements and has no models (worker.core)")

// Looked is what the core saw in new photos.
type Looked struct {
	Photos    []PhotoFinding // one per new photo, in order
	Templates []results.Template
}

// PhotoFinding is what the core says about one photo.
type PhotoFinding struct {
	Code    string          // "": good; no_face, several_people, small, blurred, turned, dark, bright, misaligned, other_person, not_a_photo, unreadable, ...
	Text    pipeline.Text   // what is wrong and what to do
	Quality json.RawMessage // what was measured: no vector
}

// coreFault names what a machine's error of the core means to a client.
func coreFault(err error) error {
	var early *models.NotReadyError
	if models.Unusable(err) && !errors.As(err, &early) { // what is being loaded is not missing: see fault
		return problem(codeModels).because(err)
	}
	var reference *verify.ReferenceError
	if !errors.As(err, &reference) {
		return err
	}
	// Its own words have the name of a person's file: they do not go to the log.
	var refusal *media.Refusal
	rule := "unusable"
	switch p := fault(reference.Err); {
	case errors.As(err, &refusal):
		rule = refusal.Rule
	case p.Status == http.StatusServiceUnavailable || p.Code == string(codeGone): // it could not be fetched now
		return fmt.Errorf("fetch an enrolled photo: %w", reference.Err)
	case p.Code == string(codeNotFound):
		rule = "gone"
	}
	return problem(codeReference).because(fmt.Errorf("an enrolled photo cannot be used: rule %s", rule))
}
