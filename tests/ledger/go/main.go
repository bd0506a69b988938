// SPDX-FileCopyrightText: The Runrecord authors
// SPDX-License-Identifier: Apache-2.0

// Command tlogcheck reads the directory of a Runrecord ledger with the Go team's implementation of signed notes and
// transparency logs, which shares no code with Runrecord, and says whether it is a C2SP tlog-tiles log.
//
//	tlogcheck -dir DIRECTORY -vkey KEY [-minimum INDEX] [-proofs DIRECTORY] [-old CHECKPOINT -consistency FILE]
//
// Below the minimum index entry bundles may be missing (C2SP tlog-tiles, "Pruning"): the hashes of their entries are then read from
// the tiles, which the root vouches for.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

func main() {
	dir := flag.String("dir", "", "the log's directory")
	vkey := flag.String("vkey", "", "the log's verifier key")
	minimum := flag.Int64("minimum", 0, "below this index entry bundles may be missing")
	proofs := flag.String("proofs", "", "a directory of .tlog-proof files to check")
	old := flag.String("old", "", "an older checkpoint of the same log")
	consistency := flag.String("consistency", "", "a file with the hashes, base64, one a line, that prove the older checkpoint a prefix")
	flag.Parse()
	report, err := check(*dir, *vkey, *minimum, *proofs, *old, *consistency)
	if err != nil {
		fmt.Fprintln(os.Stderr, "tlogcheck:", err)
		os.Exit(1)
	}
	fmt.Println(report)
}

func check(dir, vkey string, minimum int64, proofs, old, consistency string) (string, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint(filepath.Join(dir, "checkpoint"), verifier)
	if err != nil {
		return "", err
	}
	leaves, pruned, err := readEntries(dir, tree.N, minimum)
	if err != nil {
		return "", err
	}
	hashes, err := checkTiles(dir, leaves, tree)
	if err != nil {
		return "", err
	}
	stored, err := checkRoot(hashes, tree)
	if err != nil {
		return "", err
	}
	checked, err := checkProofs(proofs, hashes, verifier, stored)
	if err != nil {
		return "", err
	}
	if old != "" {
		if err := checkConsistency(old, consistency, verifier, tree, stored); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("size=%d root=%s pruned=%d proofs=%d", tree.N, tree.Hash, pruned, checked), nil
}

// openCheckpoint verifies a signed checkpoint and returns the tree that it states.
func openCheckpoint(path string, verifier note.Verifier) (tlog.Tree, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return tlog.Tree{}, err
	}
	return parseCheckpoint(data, verifier)
}

func parseCheckpoint(data []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("checkpoint: not origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	root, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// readEntries reads all entries of a log of this size from its entry bundles; those that were pruned are nil. It returns how many were.
func readEntries(dir string, size, minimum int64) ([][]byte, int, error) {
	var leaves [][]byte
	pruned := 0
	for int64(len(leaves)) < size {
		index := int64(len(leaves)) / tileWidth
		width := min(tileWidth, size-int64(len(leaves)))
		tile := tlog.Tile{H: tileHeight, L: -1, N: index, W: int(width)}
		data, err := os.ReadFile(filepath.Join(dir, tilesPath(tile)))
		if errors.Is(err, fs.ErrNotExist) && (index+1)*tileWidth <= minimum {
			leaves = append(leaves, make([][]byte, width)...)
			pruned += int(width)
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		for range width {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, 0, fmt.Errorf("entry %d is cut off", len(leaves))
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			leaves = append(leaves, data[2:end])
			data = data[end:]
		}
		if len(data) != 0 {
			return nil, 0, fmt.Errorf("entry bundle %d holds more than %d entries", index, width)
		}
	}
	return leaves, pruned, nil
}

// tilesPath returns where C2SP tlog-tiles keeps a tile: the path of the checksum database without its height.
func tilesPath(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	if rest, found := strings.CutPrefix(path, "data/"); found {
		path = "entries/" + rest
	}
	return "tile/" + path
}

// checkRoot adds the hashes of all entries up and returns a reader over every hash of the tree.
func checkRoot(hashes []tlog.Hash, tree tlog.Tree) (tlog.HashReader, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	for i, hash := range hashes {
		more, err := tlog.StoredHashesForRecordHash(int64(i), hash, reader)
		if err != nil {
			return nil, err
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return nil, err
	}
	if root != tree.Hash {
		return nil, fmt.Errorf("the entries add up to %s, the checkpoint says %s", root, tree.Hash)
	}
	return reader, nil
}

// tileFiles reads tiles from the log's directory.
type tileFiles struct{ dir string }

func (t tileFiles) Height() int { return tileHeight }

func (t tileFiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, err := os.ReadFile(filepath.Join(t.dir, tilesPath(tile)))
		if errors.Is(err, fs.ErrNotExist) && tile.W < tileWidth { // superseded by the full one
			full := tile
			full.W = tileWidth
			if data, err = os.ReadFile(filepath.Join(t.dir, tilesPath(full))); err == nil {
				data = data[:tile.W*tlog.HashSize]
			}
		}
		if err != nil {
			return nil, err
		}
		found[i] = data
	}
	return found, nil
}

func (t tileFiles) SaveTiles([]tlog.Tile, [][]byte) {}

// checkTiles reads the hash of every entry through the tiles, which proves each tile against the root on the way, compares it with
// that of the entry, if it is there, and every tile byte for byte. It returns the hashes.
func checkTiles(dir string, leaves [][]byte, tree tlog.Tree) ([]tlog.Hash, error) {
	if tree.N == 0 {
		return nil, nil
	}
	files := tileFiles{dir}
	reader := tlog.TileHashReader(tree, files)
	indexes := make([]int64, len(leaves))
	for i := range leaves {
		indexes[i] = tlog.StoredHashIndex(0, int64(i))
	}
	hashes, err := reader.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("tiles: %w", err)
	}
	for i, leaf := range leaves {
		if leaf != nil && hashes[i] != tlog.RecordHash(leaf) {
			return nil, fmt.Errorf("tiles: entry %d does not have the hash in its tile", i)
		}
	}
	for _, tile := range tlog.NewTiles(tileHeight, 0, tree.N) {
		expected, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			return nil, fmt.Errorf("tiles: %w", err)
		}
		data, err := files.ReadTiles([]tlog.Tile{tile})
		if err != nil {
			return nil, fmt.Errorf("tiles: %w", err)
		}
		if !slices.Equal(data[0], expected) {
			return nil, fmt.Errorf("tiles: %s is not what the tree says", tilesPath(tile))
		}
	}
	return hashes, nil
}

// checkProofs checks every .tlog-proof of a directory, and that its hashes are those that this implementation makes.
func checkProofs(dir string, entries []tlog.Hash, verifier note.Verifier, stored tlog.HashReader) (int, error) {
	if dir == "" {
		return 0, nil
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.tlog-proof"))
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return 0, err
		}
		head, checkpoint, _ := strings.Cut(string(data), "\n\n")
		tree, err := parseCheckpoint([]byte(checkpoint), verifier)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		lines := strings.Split(head, "\n")
		if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
			return 0, fmt.Errorf("%s: not a tlog-proof", path)
		}
		index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
		if err != nil || index >= int64(len(entries)) {
			return 0, fmt.Errorf("%s: no index of an entry", path)
		}
		hashes, err := parseHashes(lines[2:])
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		if err := tlog.CheckRecord(hashes, tree.N, tree.Hash, index, entries[index]); err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
		own, err := tlog.ProveRecord(tree.N, index, stored)
		if err != nil || !slices.Equal(own, hashes) {
			return 0, fmt.Errorf("%s: not the proof that this implementation makes", path)
		}
	}
	return len(paths), nil
}

// checkConsistency checks the proof that an older checkpoint is a prefix of the tree.
func checkConsistency(old, consistency string, verifier note.Verifier, tree tlog.Tree, stored tlog.HashReader) error {
	before, err := openCheckpoint(old, verifier)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(consistency)
	if err != nil {
		return err
	}
	hashes, err := parseHashes(strings.Fields(string(data)))
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(hashes, tree.N, tree.Hash, before.N, before.Hash); err != nil {
		return fmt.Errorf("consistency: %w", err)
	}
	own, err := tlog.ProveTree(tree.N, before.N, stored)
	if err != nil || !slices.Equal(own, hashes) {
		return errors.New("consistency: not the proof that this implementation makes")
	}
	return nil
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		data, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(data) != tlog.HashSize {
			return nil, fmt.Errorf("not a hash: %q", line)
		}
		hashes = append(hashes, tlog.Hash(data))
	}
	return hashes, nil
}
