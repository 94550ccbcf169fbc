package proc

import (
	"os/user"
	"strconv"
	"sync"
)

// Users gives IDs their names, and asks once for each. The zero value is ready; it
// may be used by several goroutines.
type Users struct {
	mu            sync.Mutex
	users, groups map[uint32]string
}

// User returns the name of a user ID, "" if it has none.
func (u *Users) User(id uint32) string {
	return u.name(&u.users, id, func(id string) string {
		if found, err := user.LookupId(id); err == nil {
			return found.Username
		}
		return ""
	})
}

// Group returns the name of a group ID, "" if it has none.
func (u *Users) Group(id uint32) string {
	return u.name(&u.groups, id, func(id string) string {
		if found, err := user.LookupGroupId(id); err == nil {
			return found.Name
		}
		return ""
	})
}

// maxNames bounds what is kept: user namespaces have IDs by the thousand.
const maxNames = 1 << 14

func (u *Users) name(names *map[uint32]string, id uint32, ask func(string) string) string {
	if id == ^uint32(0) {
		return ""
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if name, ok := (*names)[id]; ok {
		return name
	}
	if *names == nil || len(*names) >= maxNames {
		*names = map[uint32]string{}
	}
	name := ask(strconv.FormatUint(uint64(id), 10))
	(*names)[id] = name
	return name
}
