package profile

// The budgets of one analysis. What exceeds them is unknown, with one of the
// reasons below, never left out. The largest programs use a fiftieth of them.
const (
	maxSteps    = 1 << 23 // instructions that slices look at
	maxDecoded  = 1 << 21 // instructions that are kept decoded
	maxDepth    = 1 << 14 // values that one value depends on in turn
	maxJumps    = 1 << 18 // edges of the jumps of a function that are not resolved
	maxDemands  = 500     // parameters that callers are asked for
	maxWords    = 500     // variables that are resolved
	maxLost     = 200     // undetermined sites that are listed
	maxComputed = 100     // functions whose calls through pointers are looked at for one parameter
	maxScanned  = 1 << 26 // words of data that paths are looked for in
	// maxCode bounds the functions that are decoded at all, in bytes.
	maxCode = 4 << 20

	overBudget = "the analysis budget is spent"
	tooLarge   = "the function is too large for the analysis budget"

	// Other reasons that are given in several places.
	noWay       = "no way is known that leads here"
	partOfWider = "part of a wider value"
)
