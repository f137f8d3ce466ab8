// Package quota keeps the account of a pool of land, energy or emissions: what requests reserve, use up and give back.
// Whatever is done with a pool, no figure of it is below zero, and what is reserved and consumed never exceeds the
// total.
package quota

import "fmt"

// Pool is the account of a pool, in thousandths of its factor's unit.
type Pool struct{ Total, Reserved, Consumed int64 }

// Available returns what is left to reserve.
func (p Pool) Available() int64 { return p.Total - p.Reserved - p.Consumed }

// InsufficientError says that less is left than is wanted.
type InsufficientError struct{ Available, Wanted int64 }

func (e *InsufficientError) Error() string {
	return fmt.Sprintf("%d is wanted and %d is left", e.Wanted, e.Available)
}

// InUseError says that a total would be less than what is reserved and consumed.
type InUseError struct{ Used, Total int64 }

func (e *InUseError) Error() string {
	return fmt.Sprintf("%d is reserved or consumed, more than a total of %d", e.Used, e.Total)
}

// NotReservedError says that more would leave the reservation than is in it: the account was not kept.
type NotReservedError struct{ Reserved, Wanted int64 }

func (e *NotReservedError) Error() string {
	return fmt.Sprintf("%d is to leave the reservation, and %d is reserved", e.Wanted, e.Reserved)
}

// Reserve sets a quantity aside.
func (p Pool) Reserve(quantity int64) (Pool, error) {
	if quantity > p.Available() {
		return p, &InsufficientError{Available: p.Available(), Wanted: quantity}
	}
	p.Reserved += quantity
	return p, nil
}

// Consume uses up a quantity that was reserved.
func (p Pool) Consume(quantity int64) (Pool, error) {
	p, err := p.Release(quantity)
	if err != nil {
		return p, err
	}
	p.Consumed += quantity
	return p, nil
}

// Release gives a quantity that was reserved back.
func (p Pool) Release(quantity int64) (Pool, error) {
	if quantity > p.Reserved {
		return p, &NotReservedError{Reserved: p.Reserved, Wanted: quantity}
	}
	p.Reserved -= quantity
	return p, nil
}

// Resize gives the pool another total.
func (p Pool) Resize(total int64) (Pool, error) {
	if used := p.Reserved + p.Consumed; total < used {
		return p, &InUseError{Used: used, Total: total}
	}
	p.Total = total
	return p, nil
}
