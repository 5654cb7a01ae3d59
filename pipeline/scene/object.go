package scene

// The objects that the scene check speaks of. A filing cabinet is not among them: neither detector knows one, so it is looked for through
// the site's own references (kind cabinet).
const (
	ObjectScreen   = "screen" // a computer's or a television's: the detectors cannot tell them apart
	ObjectLaptop   = "laptop"
	ObjectKeyboard = "keyboard"
	ObjectDesk     = "desk"
	ObjectChair    = "chair"
	ObjectBook     = "book"
	ObjectPerson   = "person"
)

// ObjectClasses lists the objects in the order in which results list them.
var ObjectClasses = []string{ObjectScreen, ObjectLaptop, ObjectKeyboard, ObjectDesk, ObjectChair, ObjectBook, ObjectPerson}

// wordFor gives Onsite's word for a detector's label, or the label itself.
func wordFor(label string) string {
	switch label {
	case "computer monitor", "tv":
		return ObjectScreen
	}
	return label
}
