package face

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"

	"onsite/models"
	"onsite/pipeline"
	"onsite/pipeline/media"
)

// What can be wrong with a photo that is to be enrolled; a *PhotoError says more and unwraps to one of these.
var (
	ErrNotAPhoto    = errors.New("not a photo")
	ErrNoFace       = errors.New("no face")
	ErrSeveralFaces = errors.New("several faces")
	ErrLowQuality   = errors.New("face not good enough")
	ErrOtherPerson  = errors.New("not the person of the other photos")
)

// PhotoError says why a photo cannot be enrolled and what to do.
type PhotoError struct {
	Photo string
	Kind  error // ErrNotAPhoto, ErrNoFace, ErrSeveralFaces, ErrLowQuality, ErrOtherPerson
	Fault Fault // with ErrLowQuality
	Text  pipeline.Text
}

func (e *PhotoError) Error() string { return e.Text.EN }

// Unwrap gives the Kind.
func (e *PhotoError) Unwrap() error { return e.Kind }

// Template is one enrolled face: the vector of one photo, and what it was made from. It is biometric data: it is stored encrypted or not at all.
type Template struct {
	Name    string
	SHA256  string        // of the photo's bytes, hex
	Vector  models.Vector // mean of the face and its mirror image
	Quality Quality
	Box     image.Rectangle // of the face in the photo, pixels
}

// Enroll makes a template from a photo, which must show exactly one person in front, sharp and looking into the camera. The errors are
// *PhotoError when the photo is at fault; a video is none, however good its frames are.
func (m *Matcher) Enroll(ctx context.Context, photo *media.Clip, name string) (Template, error) {
	if photo.Info.Kind != media.Photo {
		return Template{}, notAPhoto(name)
	}
	found, err := m.Find(ctx, photo)
	if err != nil {
		return Template{}, fmt.Errorf("enroll photo %s: %w", name, err)
	}
	subject := found.Subject()
	if subject < 0 {
		return Template{}, noFace(name)
	}
	if others := m.beside(&found, subject); len(others) > 0 {
		return Template{}, severalFaces(name, len(others)+1)
	}
	s, ok := found.best(subject)
	if !ok {
		s = found.Tracks[subject].Spots[0]
	}
	face := found.At(s)
	fault := face.Quality.Fault
	if fault == FaultNone {
		switch {
		case face.Quality.Size < m.config.EnrollMinSize:
			fault = FaultSmall
		case face.Turn() > m.config.EnrollMaxTurn:
			fault = FaultTurned
		}
	}
	if fault != FaultNone {
		return Template{}, m.lowQuality(name, fault, face)
	}
	v, err := m.embed(ctx, photo, &found, s, true)
	if err != nil {
		return Template{}, fmt.Errorf("enroll photo %s: %w", name, err)
	}
	return Template{Name: name, SHA256: photo.Info.SHA256, Vector: v, Quality: face.Quality, Box: face.Box}, nil
}

// SamePerson checks that the templates of one subject show one person: each must reach Config.Reject against the mean of the others. The
// error is a *PhotoError that names the first one that does not. With two photos that differ nobody can say which is wrong; the second
// is named.
func (m *Matcher) SamePerson(templates []Template) error {
	odd, err := m.odd(templates)
	if err != nil || odd < 0 {
		return err
	}
	return otherPerson(templates[odd].Name)
}

// Agree looks at new photos of a person one by one: nil where a new template shows the person, else why not. Photos that are enrolled
// already are believed, so each new one must reach Config.Reject against their mean. Without any, the new ones must agree with each other
// as SamePerson has it, and those that do not are named until the rest does.
func (m *Matcher) Agree(enrolled, fresh []Template) ([]*PhotoError, error) {
	out := make([]*PhotoError, len(fresh))
	if len(enrolled) > 0 {
		for i, t := range fresh {
			score, err := m.Resembles(enrolled, t)
			if err != nil {
				return nil, err
			}
			if score < m.config.Reject {
				out[i] = otherPerson(t.Name)
			}
		}
		return out, nil
	}
	left := make([]int, len(fresh))
	for i := range left {
		left[i] = i
	}
	for {
		rest := make([]Template, len(left))
		for i, at := range left {
			rest[i] = fresh[at]
		}
		odd, err := m.odd(rest)
		if err != nil || odd < 0 {
			return out, err
		}
		out[left[odd]] = otherPerson(rest[odd].Name)
		left = slices.Delete(left, odd, odd+1)
	}
}

// Resembles is the product's score of one face against a person's enrolled photos: the cosine with their mean, as clips are compared.
func (m *Matcher) Resembles(person []Template, t Template) (float64, error) {
	references := make([]models.Vector, len(person))
	for i, p := range person {
		references[i] = p.Vector
	}
	score, _, err := similarityOf(t.Vector, references)
	return score, err
}

// odd is the template that is least like the others, -1 if all are like enough.
func (m *Matcher) odd(templates []Template) (int, error) {
	if len(templates) < 2 {
		return -1, nil
	}
	worst, low := -1, m.config.Reject
	for i := len(templates) - 1; i >= 0; i-- {
		var rest []models.Vector
		var weights []float64
		for k := range templates {
			if k != i {
				rest, weights = append(rest, templates[k].Vector), append(weights, 1)
			}
		}
		others, err := mean(rest, weights)
		if err != nil {
			return -1, err
		}
		score, err := cosine(templates[i].Vector, others)
		if err != nil {
			return -1, err
		}
		if score < low {
			worst, low = i, score
		}
	}
	return worst, nil
}

func notAPhoto(name string) *PhotoError {
	return &PhotoError{Photo: name, Kind: ErrNotAPhoto, Text: pipeline.Text{
		EN: fmt.Sprintf("enroll photo %s: it is a video, and a person is enrolled from photos; use a JPEG, PNG, WebP or HEIC picture", name),
		ZH: fmt.Sprintf("登记照片 %s：这是视频，而登记须使用照片；请使用 JPEG、PNG、WebP 或 HEIC 图片", name),
	}}
}

func noFace(name string) *PhotoError {
	return &PhotoError{Photo: name, Kind: ErrNoFace, Text: pipeline.Text{
		EN: fmt.Sprintf("enroll photo %s: no face was found in it; use a photo that shows the person's whole face from the front, in good light, upright", name),
		ZH: fmt.Sprintf("登记照片 %s：未找到人脸；请使用正面、完整露脸、光线充足且方向正确的照片", name),
	}}
}

func severalFaces(name string, n int) *PhotoError {
	return &PhotoError{Photo: name, Kind: ErrSeveralFaces, Text: pipeline.Text{
		EN: fmt.Sprintf("enroll photo %s: %d people stand in front, and the photo must show one; use a photo of the person alone, or cut the others off", name, n),
		ZH: fmt.Sprintf("登记照片 %s：画面前方有 %d 个人，只能有本人一人；请使用单人照片，或裁掉其他人", name, n),
	}}
}

func otherPerson(name string) *PhotoError {
	return &PhotoError{Photo: name, Kind: ErrOtherPerson, Text: pipeline.Text{
		EN: fmt.Sprintf("enroll photo %s: its face does not look like the other enrolled photos; leave it out or check whose photo it is", name),
		ZH: fmt.Sprintf("登记照片 %s：与其他登记照片不像同一个人；请去掉该照片或核对照片是谁的", name),
	}}
}

func (m *Matcher) lowQuality(name string, fault Fault, f *Face) *PhotoError {
	why, fix := m.explain(fault, f, true)
	return &PhotoError{Photo: name, Kind: ErrLowQuality, Fault: fault, Text: pipeline.Text{
		EN: fmt.Sprintf("enroll photo %s: the face cannot be enrolled: %s; %s", name, why.EN, fix.EN),
		ZH: fmt.Sprintf("登记照片 %s：人脸无法登记：%s；%s", name, why.ZH, fix.ZH),
	}}
}

// explain says in words what a fault is, with the measured value and the limit, and what to do.
func (m *Matcher) explain(fault Fault, f *Face, enrolling bool) (why, fix pipeline.Text) {
	c, q := &m.config, &f.Quality
	minSize, maxTurn := c.MinSize, c.MaxTurn
	if enrolling {
		minSize, maxTurn = max(c.EnrollMinSize, c.MinSize), min(c.EnrollMaxTurn, c.MaxTurn)
	}
	switch fault {
	case FaultSmall:
		return pipeline.Text{EN: fmt.Sprintf("it is %d pixels high, at least %d are needed", q.Size, minSize), ZH: fmt.Sprintf("人脸高 %d 像素，至少需要 %d 像素", q.Size, minSize)},
			pipeline.Text{EN: "come nearer or use a larger picture", ZH: "请靠近镜头或使用更大的图片"}
	case FaultTurned:
		return pipeline.Text{EN: fmt.Sprintf("it looks about %.0f degrees away from the camera, at most %.0f are allowed", f.Turn(), maxTurn), ZH: fmt.Sprintf("脸偏离镜头约 %.0f 度，最多允许 %.0f 度", f.Turn(), maxTurn)},
			pipeline.Text{EN: "look into the camera", ZH: "请正对镜头"}
	case FaultBlurred:
		return pipeline.Text{EN: fmt.Sprintf("it is blurred (sharpness %.0f, at least %.0f is needed)", q.Sharpness, c.MinSharpness), ZH: fmt.Sprintf("画面模糊（清晰度 %.0f，至少需要 %.0f）", q.Sharpness, c.MinSharpness)},
			pipeline.Text{EN: "hold still and clean the lens", ZH: "请保持不动并擦净镜头"}
	case FaultDark:
		return pipeline.Text{EN: fmt.Sprintf("it is too dark (%.0f of 255, at least %.0f)", q.Brightness, c.MinBrightness), ZH: fmt.Sprintf("太暗（亮度 %.0f，至少 %.0f）", q.Brightness, c.MinBrightness)},
			pipeline.Text{EN: "find more light", ZH: "请到光线更好的地方"}
	case FaultBright:
		return pipeline.Text{EN: fmt.Sprintf("it is too bright (%.0f of 255, at most %.0f)", q.Brightness, c.MaxBrightness), ZH: fmt.Sprintf("太亮（亮度 %.0f，最多 %.0f）", q.Brightness, c.MaxBrightness)},
			pipeline.Text{EN: "avoid direct light on the face", ZH: "请避免强光直射脸部"}
	default:
		return pipeline.Text{EN: "eyes, nose and mouth cannot be placed: something covers it, or it is cut off", ZH: "无法定位眼、鼻、口：被遮挡或不完整"},
			pipeline.Text{EN: "show the whole face", ZH: "请露出整张脸"}
	}
}
