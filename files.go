package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// writeAside writes a file beside its place and puts it there when it is whole and on the disk. Nobody ever finds half of it
// under its name, and nothing that is there is written over. Only its owner may read it.
func writeAside(path string, write func(*os.File) error) error {
	if err := absent(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is there no more, or a part of what failed
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return place(f.Name(), path)
}

// absent fails if there is a file of that name.
func absent(path string) error {
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		return fmt.Errorf("%s exists: what is there already is not written over", path)
	case errors.Is(err, os.ErrNotExist):
		return nil
	}
	return err
}

// place gives a file that is whole and synced its name, durably. Unlike a rename, a link never replaces what came there
// meanwhile.
func place(aside, path string) error {
	if err := os.Link(aside, path); err != nil {
		return err
	}
	if err := os.Remove(aside); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
