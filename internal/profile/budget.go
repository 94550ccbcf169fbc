package profile

// The budgets of one analysis. What exceeds them is unknown, with one of the
// reasons below, never left out. The largest programs use a hundredth of them.
const (
	maxSteps   = 1 << 26 // instructions that slices look at
	maxDecoded = 1 << 21 // instructions that are kept decoded
	maxDemands = 2000    // parameters that callers are asked for
	maxWords   = 500     // variables that are resolved
	maxLost    = 1000    // undetermined sites that are listed
	// maxCode bounds the functions that are decoded at all, in bytes.
	maxCode = 4 << 20

	overBudget = "the analysis budget is spent"
	tooLarge   = "the function is too large for the analysis budget"

	// Other reasons that are given in several places.
	noWay       = "no way is known that leads here"
	partOfWider = "part of a wider value"
)
