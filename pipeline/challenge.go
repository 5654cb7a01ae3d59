package pipeline

// ChallengeKind is one thing that a person may be asked to do in a recording.
type ChallengeKind string

// The kinds of tasks.
const (
	TurnLeft   ChallengeKind = "turn_left"   // the head, to the person's own left
	TurnRight  ChallengeKind = "turn_right"  // the head, to the person's own right
	Nod        ChallengeKind = "nod"         // the head, down and up
	BlinkTwice ChallengeKind = "blink_twice" // within two seconds
	SayDigits  ChallengeKind = "say_digits"  // four digits, one after the other
	ShowCode   ChallengeKind = "show_code"   // six characters, on a screen or on paper
)

// ChallengeKinds lists them.
var ChallengeKinds = []ChallengeKind{TurnLeft, TurnRight, Nod, BlinkTwice, SayDigits, ShowCode}

// Moves says that a kind needs time: a single photo cannot show it.
func (k ChallengeKind) Moves() bool { return k != ShowCode }
