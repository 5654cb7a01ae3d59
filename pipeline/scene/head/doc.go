// Package head answers simple questions about a picture without knowing the site: is this a storefront, a desk, a poster, is there text,
// is it rather a cafe, a home, a street? One logistic regression per question, over features that other models measured.
//
// A head is weak evidence: it was trained on a few hundred photos and knows no site. It may support what an enrolled reference could
// not settle, or speak against a claim with a margin; it never replaces a reference. There is no head for "a logo": on photos of places
// that it had not seen, such a head reached an AUC of .72 only (docs/heads.md).
//
// The package is plain Go over slices of numbers. It imports neither gocv nor the scene check: who measured the features hands them over
// (Input), and who loaded the weights hands over the model that runs them (Model).
package head
