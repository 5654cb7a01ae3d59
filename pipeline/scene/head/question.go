package head

import (
	"fmt"
	"slices"
	"strings"
)

// Sample is one labelled picture with its features.
type Sample struct {
	File   string // below the data folder, with forward slashes
	Class  string // its folder
	Source string // what is held out together: one place, one package, one photographer
	SHA256 string // of the file, hex
	// Variant says how the picture was changed before its features were measured; Plain is not at all.
	Variant string
	Input   Input
}

// Question is what one head answers: pictures of the classes Yes against all others. Pictures of the classes Unclear do not train it,
// because their folder does not tell the answer; they are measured as a no, as everything that is not in Yes.
type Question struct {
	Name    string
	Yes     []string
	Unclear []string
	Uses    []string // groups of features
	// Apart fits each group of Uses on its own and adds the logits, so that a group cannot lean on what another one says about the pictures
	// of the training only.
	Apart bool
	// L2 replaces that of FitOptions; 0 keeps it.
	L2 float64
	// Photos says that drawings do not train the head: a drawn house is no street, and no drawing shows a cafe.
	Photos  bool
	Against [][]string
}

// Questions lists what is trained, sorted by name. Which features answer which question was measured on photos of 43 sources, one source
// left out at a time: a desk is told by its objects alone, because embeddings learn the data set and not the desk; a poster by what the
// office detector's last layer saw and where the text is; a storefront by everything. How storefront and text are fitted, and which heads learn from photos only, was chosen
// on the training pictures alone, one kind of drawing or one package of photos left out at a time.
//
// There is no question about logos: see the package's comment.
func Questions() []Question {
	objects := []string{GroupOffice, GroupCOCO}
	return []Question{
		{Name: Cafe, Yes: []string{"cafe"}, Uses: objects, Photos: true, Against: [][]string{{"desk"}}},
		{Name: Desk, Yes: []string{"desk"}, Uses: objects, Against: [][]string{{"cafe"}, {"cafe", "home"}}},
		{Name: Home, Yes: []string{"home"}, Uses: objects, Against: [][]string{{"desk"}, {"cafe"}}},
		{Name: Poster, Yes: []string{"poster"}, Uses: []string{GroupMean, GroupText}},
		{Name: Storefront, Yes: []string{"storefront"}, Unclear: []string{"shop_interior", "logo"}, Uses: Groups(), L2: 0.001, Against: [][]string{{"street", "other"}, {"shop_interior"}}},
		{Name: Street, Yes: []string{"street"}, Unclear: []string{"storefront", "logo"}, Uses: []string{GroupOffice, GroupCOCO, GroupEmbedding}, Photos: true, Against: [][]string{{"storefront"}}},
		{Name: Text, Yes: []string{"storefront", "poster", "logo", "text"}, Unclear: []string{"street", "shop_interior"}, Uses: []string{GroupEmbedding, GroupText}, Apart: true, L2: 0.003},
	}
}

// Classes lists the folders that mean something to a question, sorted.
func Classes() []string {
	return []string{"cafe", "desk", "home", "logo", "other", "poster", "shop_interior", "storefront", "street", "text"}
}

func (q Question) yes(class string) bool { return slices.Contains(q.Yes, class) }

// trains tells whether a picture of the class and source trains the head.
func (q Question) trains(class, source string) bool {
	return !slices.Contains(q.Unclear, class) && (!q.Photos || !Drawn(source))
}

// how says in a few words what the head is made of, for the card.
func (q Question) how() string {
	out := strings.Join(q.Uses, ", ")
	if q.Apart {
		out += "; each fitted apart"
	}
	if q.L2 > 0 {
		out += fmt.Sprintf("; L2 %g", q.L2)
	}
	if q.Photos {
		out += "; photos only"
	}
	return out
}

// Drawn tells whether the pictures of a source are drawings of onsite scene data, by its name.
func Drawn(source string) bool { return strings.HasPrefix(source, "drawn-") }
