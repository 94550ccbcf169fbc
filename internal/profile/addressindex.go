package profile

import "math/bits"

// An addressIndex finds addresses in a list by a hash table with open addressing: a
// graph asks for one at each reference of the code.
type addressIndex struct {
	slots []int32 // 0: free; else one more than an index of the list
	shift int     // what of a hash is no slot's number
}

// add returns the index of addr in list, to which it appends addr if it is not there;
// added reports that.
func (x *addressIndex) add(list *[]uint64, addr uint64) (k int, added bool) {
	if 4*len(*list) >= 3*len(x.slots) {
		x.grow(*list)
	}
	at := x.slot(*list, addr)
	if s := x.slots[at]; s > 0 {
		return int(s) - 1, false
	}
	*list = append(*list, addr)
	x.slots[at] = int32(len(*list))
	return len(*list) - 1, true
}

// find returns the index of addr in list, if it is there.
func (x *addressIndex) find(list []uint64, addr uint64) (k int, ok bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	k = int(x.slots[x.slot(list, addr)]) - 1
	return k, k >= 0
}

// slot returns the slot of addr, or the free one where it belongs.
func (x *addressIndex) slot(list []uint64, addr uint64) int {
	const golden = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio
	for at := int(addr * golden >> x.shift); ; at = (at + 1) & (len(x.slots) - 1) {
		if s := x.slots[at]; s == 0 || list[s-1] == addr {
			return at
		}
	}
}

func (x *addressIndex) grow(list []uint64) {
	n := max(2*len(x.slots), 1<<10)
	x.slots, x.shift = make([]int32, n), 64-bits.TrailingZeros(uint(n))
	for k, addr := range list {
		x.slots[x.slot(list, addr)] = int32(k) + 1
	}
}
