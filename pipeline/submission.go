package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Media is one outside file: a clip, a photo, an enrolled or a reference photo. Its bytes are hostile until the decoder child has
// turned them into pixels; nobody else reads them, except to hash them.
type Media interface {
	// Name is for people: a file name or an object key without secrets.
	Name() string
	// Open gives a seekable descriptor at offset 0, opened for reading. The caller closes it.
	Open(ctx context.Context) (*os.File, error)
}

// File is Media on the local disk: a path.
type File string

// Name is the last part of the path.
func (f File) Name() string { return filepath.Base(string(f)) }

// Open opens the path for reading, without waiting for a writer when it is a pipe.
func (f File) Open(context.Context) (*os.File, error) {
	return os.OpenFile(string(f), os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// Claim is what the client says about an upload. Nothing in it is trusted; checks compare it with what they see.
type Claim struct {
	Job     string    `json:"job"`
	Tenant  string    `json:"tenant"`
	Subject string    `json:"subject"`
	Site    string    `json:"site"`
	TakenAt time.Time `json:"taken_at"` // zero: not claimed
	// What follows is left out of the JSON where nothing is claimed, so that the digest of a claim without it stays what it was.
	Location *Location `json:"location,omitempty"`
	Beacons  []string  `json:"beacons,omitempty"` // ids of the beacons in range
	WiFi     []string  `json:"wifi,omitempty"`    // ids (BSSID) of the Wi-Fi stations in range
	Device   *Device   `json:"device,omitempty"`
	// Challenge is the id of the challenge that the recording answers.
	Challenge string `json:"challenge,omitempty"`
}

// Location is where a device says that it is.
type Location struct {
	Latitude  float64 `json:"latitude"`             // degrees, WGS 84
	Longitude float64 `json:"longitude"`            // degrees
	AccuracyM float64 `json:"accuracy_m,omitempty"` // radius that holds the true place two times out of three; 0: not said
}

// Device is what a device says about itself.
type Device struct {
	ID           string `json:"id,omitempty"`
	Model        string `json:"model,omitempty"`
	MockLocation bool   `json:"mock_location,omitempty"` // the system says that an app invents the location
}

// ReferenceKind says what a site's reference shows.
type ReferenceKind string

// The kinds of site references.
const (
	RefSign       ReferenceKind = "sign" // the sign itself, beside the names to read on it
	RefLogo       ReferenceKind = "logo"
	RefStorefront ReferenceKind = "storefront"
	RefPoster     ReferenceKind = "poster"
	RefDesk       ReferenceKind = "desk"
	RefCabinet    ReferenceKind = "cabinet"
	RefRoom       ReferenceKind = "room" // the room as a whole, from any angle
)

// Reference is one enrolled picture of a site.
type Reference struct {
	Kind      ReferenceKind
	Name      string
	Media     Media
	Crop      *Box      // part of the picture that shows it; nil: the whole picture
	Negative  bool      // what the site is not, such as the cafe next door
	Sites     []string  // posters: ids of the sites where it hangs; none: here
	ValidFrom time.Time // posters; zero: no bound
	ValidTo   time.Time // inclusive day's end; zero: no bound
}

// Site is a place of work.
type Site struct {
	ID           string
	Revision     int
	Label        string   // what people call it
	Timezone     string   // of its references' days; UTC if empty
	SignNames    []string // names to read on its sign; one of them is enough
	ForeignNames []string // names of other places, such as the cafe next door
	Geofence     []Fence  // where it lies; being in one of them is enough
	Beacons      []string // ids of beacons that stand there
	WiFi         []string // ids (BSSID) of its Wi-Fi stations
	References   []Reference
	Around       *RoomVectors // the rooms of the company's other sites when this one was written; nil: none
}

// RoomVectors are pictures of rooms as a scene embedder saw them: Model is the sha256 of its file, Vectors are signed bytes in base64. No picture
// can be made of them again.
type RoomVectors struct {
	Model   string   `json:"model"`
	Vectors []string `json:"vectors"`
}

// Fence is a circle on the ground.
type Fence struct {
	Latitude  float64 `json:"latitude"`  // degrees, WGS 84
	Longitude float64 `json:"longitude"` // degrees
	RadiusM   float64 `json:"radius_m"`
}

// Submission is one upload with everything a verdict needs.
type Submission struct {
	Media Media
	Claim Claim
	Faces []Media // one to five enrolled photos of the subject
	Site  *Site   // nil: the scene check has nothing to compare with
	// Consent is false when the subject has no consent record: then no face processing runs at all.
	Consent bool
	// History is what earlier footage the reuse check compares with; nil: none.
	History History
	// Trail is what was claimed before, for the place check; nil: nothing is known.
	Trail Trail
	// Received is when the upload came, by the server's clock; zero: not known.
	Received time.Time
}

// Step is one earlier claim: where and when somebody said to be.
type Step struct {
	Job      string
	Subject  string
	Site     string
	TakenAt  time.Time // by the device's clock; zero: not claimed
	Received time.Time // by the server's clock
	Location *Location // nil: not claimed
	Device   string    // "": not claimed
}

// Trail gives earlier claims to the place check: only those of the same tenant, received before the job that it is made for.
type Trail interface {
	// Own lists the subject's earlier claims since a time, the newest first, at most n.
	Own(ctx context.Context, since time.Time, n int) ([]Step, error)
	// OfDevice lists claims of other subjects that name the same device since a time, the newest first, at most n.
	OfDevice(ctx context.Context, device string, since time.Time, n int) ([]Step, error)
}

// Earlier is one fingerprint of the history.
type Earlier struct {
	Job         string // job id, or file name with --against
	Fingerprint []byte // package reuse reads it
	SHA256      string // of the earlier media
}

// History gives earlier footage to the reuse check. It never contains the job itself or anything later.
type History interface {
	// Earlier lists the fingerprints that the check may compare with.
	Earlier(ctx context.Context) ([]Earlier, error)
	// Picture gives a JPEG of an earlier clip near the given time, for the report; an error if it is gone.
	Picture(ctx context.Context, job string, atMS int64) ([]byte, error)
	// Missing is how much earlier footage could not be read: the check cannot pass over it in silence.
	Missing() int
	// AsOf is the position of the history that Earlier saw.
	AsOf() int64
}
