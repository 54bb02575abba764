// Whatever the bytes are, a header is read or refused: every MUST of FORMAT sections 2 to 4 has a file that breaks it.
#include "cabacus/container_reader.hpp"

#include "cabacus/container.hpp"
#include "cabacus/container_writer.hpp"
#include "check.hpp"
#include "container_files.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using cabacus::Fault;
using cabacus::FormatError;
using cabacus::Limits;
using files::Bytes;
using files::error_of;
using files::file_of;
using files::joined;
using files::kFloat32;
using files::kInt8;
using files::kLevels;
using files::Parts;
using files::varint;
using files::with_levels;

namespace {

void refused(const Parts& parts, Fault kind) { CHECK(error_of(parts.file()).kind == kind); }

void corrupt_sets(const Bytes& sets) {
    Parts parts;
    parts.sets = sets;
    refused(parts, Fault::corrupt);
}

void corrupt_records(const Bytes& records) {
    Parts parts;
    parts.records = records;
    refused(parts, Fault::corrupt);
}

// A levels tensor of shape {6, 4} and step 0.5, whose record goes on with these bytes.
Parts matrix(const Bytes& geometry_and_slices, std::size_t payload) {
    return with_levels(4, {2, 6, 4}, kLevels, joined({files::floats(0.5F), geometry_and_slices}), payload);
}

Bytes changed(Bytes bytes, std::size_t at, std::uint8_t value) {
    bytes.at(at) = value;
    return bytes;
}

// Level parameters that break a rule.
void bad_levels(const Bytes& levels, Fault kind = Fault::corrupt) {
    refused(with_levels(4, {2, 6, 4}, levels, joined({files::floats(0.5F), {0, 0, 0, 10}}), 10), kind);
}

Bytes sample_file() {
    const cabacus::Metadata metadata{{"framework", "none"}};
    Bytes file = cabacus::pack(files::samples(), metadata, files::digest());
    file.resize(static_cast<std::size_t>(cabacus::parse(file, {}, false).file_bytes));
    return file;
}

}  // namespace

TEST(container_reader_reads_the_files_that_the_bad_ones_are_made_from) {
    CHECK_EQUAL(cabacus::parse(Parts().file(), {}).records[0].name, "a");
    CHECK_EQUAL(cabacus::parse(matrix({0, 0, 0, 10}, 10).file(), {}).records[0].step, 0.5);
    CHECK_EQUAL(cabacus::parse(matrix({5, 2, 0, 4, 4, 4}, 12).file(), {}).records[0].slice_bytes.size(), 3U);
}

TEST(container_reader_another_file_or_version_is_unsupported) {
    const Bytes good = Parts().file();
    for (std::size_t i = 0; i < 5; ++i) CHECK(error_of(changed(good, i, 0x7F)).kind == Fault::unsupported);
    CHECK(error_of({'P', 'K'}).kind == Fault::unsupported);
    CHECK(error_of(file_of({0, 0, 0, 0}, 0, 4)).kind == Fault::unsupported);
}

TEST(container_reader_preamble_and_length_are_checked) {
    CHECK(error_of(file_of({0, 0, 0, 0}, 0, 0, 1)).kind == Fault::corrupt);
    CHECK(error_of(file_of({0, 0, 0, 0}, 1)).kind == Fault::corrupt);
    Bytes longer = Parts().file();
    longer.push_back(0);
    CHECK(error_of(longer).kind == Fault::corrupt);
    CHECK_EQUAL(cabacus::parse(longer, {}, false).records.size(), 1U);
    CHECK(error_of(file_of({0, 0, 0, 0, 0}, 0)).kind == Fault::corrupt);
}

TEST(container_reader_a_file_cut_short_is_truncated) {
    const Bytes good = sample_file();
    for (std::size_t size = 0; size < good.size(); ++size) {
        const Bytes part(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK(error_of(part).kind == Fault::truncated);
    }
}

TEST(container_reader_every_wrong_bit_of_a_header_is_found) {
    const Bytes good = sample_file();
    const std::size_t header = static_cast<std::size_t>(cabacus::parse(good, {}).bytes);
    for (std::size_t i = 0; i < header; ++i) {
        for (int mask = 1; mask < 256; ++mask) error_of(changed(good, i, static_cast<std::uint8_t>(good[i] ^ mask)));
    }
}

TEST(container_reader_hostile_headers_do_no_harm) {
    // Under a right checksum: the sanitizers watch. What is accepted must be consistent enough to be packed again.
    const Bytes good = sample_file();
    const std::size_t end = static_cast<std::size_t>(cabacus::parse(good, {}).bytes);
    const Bytes header(good.begin() + cabacus::kPreambleBytes, good.begin() + static_cast<std::ptrdiff_t>(end));
    const auto attempt = [](const Bytes& text) {
        try {
            const cabacus::Header read = cabacus::parse(file_of(text, 0, 1), {}, false);
            static_cast<void>(cabacus::pack(read.records, read.metadata, read.base));
        } catch (const FormatError&) {
        }
    };
    for (std::size_t i = 0; i < header.size(); ++i) {
        for (int value = 0; value < 256; ++value) attempt(changed(header, i, static_cast<std::uint8_t>(value)));
        Bytes shorter(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(i));
        attempt(shorter);
        CHECK(error_of(file_of(shorter, 0, 1), {}, false).kind == Fault::corrupt);
        shorter.insert(shorter.end(), 9, 0xFF);
        shorter.push_back(0x01);
        attempt(joined({shorter, Bytes(header.begin() + static_cast<std::ptrdiff_t>(i), header.end())}));
    }
}

TEST(container_reader_metadata_and_extensions_are_checked) {
    Parts parts;
    parts.metadata = {2, 1, 'k', 0, 1, 'k', 0};
    refused(parts, Fault::corrupt);
    parts.metadata = {1, 1, 0xFF, 0};
    refused(parts, Fault::corrupt);
    parts.metadata = varint(std::uint64_t{1} << 40);
    refused(parts, Fault::corrupt);
    parts = {};
    parts.extensions = {1, 7, 1, 0};
    refused(parts, Fault::unsupported);
    parts.extensions = {1, 6, 200, 1};
    refused(parts, Fault::corrupt);
    parts.extensions = {2, 6, 1, 0, 8, 0};
    CHECK_EQUAL(cabacus::parse(parts.file(), {}).records.size(), 1U);
}

TEST(container_reader_parameter_sets_are_checked) {
    corrupt_sets({2, kFloat32, 0, 0, kInt8, 0, 0});        // one is not used
    corrupt_sets({2, kFloat32, 0, 0, kFloat32, 0, 0});     // two are the same
    corrupt_sets({0});                                     // the record's is not there
    corrupt_sets({1, kFloat32, 0, 16});                    // a reserved flag
    corrupt_sets({1, kFloat32, 0, 1});                     // a difference without a base
    corrupt_sets({1, kFloat32, 0, 2, 1, 0});               // axes of a raw tensor, and the identity
    corrupt_sets({1, kFloat32, 0, 2, 2, 1, 0});            // axes of a raw tensor
    corrupt_sets({1, kFloat32, 0, 8, 0, 0, 0, 0x3F});      // a step of a raw tensor
    Parts parts;
    for (const std::uint8_t dtype : Bytes{0, 10, 48, 255}) {
        parts.sets = {1, dtype, 0, 0};
        refused(parts, Fault::unsupported);
    }
    parts.sets = {1, kFloat32, 6, 0};
    refused(parts, Fault::unsupported);
}

TEST(container_reader_differences_are_of_floating_tensors) {
    const auto kind_of = [](std::uint8_t dtype, std::uint8_t coding, const Bytes& more) {
        const Bytes header = joined({Bytes(32), {0, 0, 1, dtype, coding, 1}, {2}, {0, 1, 'a', 0, 0}, more});
        return error_of(file_of(header, 0, 1)).kind;
    };
    CHECK(kind_of(kInt8, 4, {0, 1, 'b', 0, 0}) == Fault::corrupt);
    CHECK(kind_of(kFloat32, 5, {0, 1, 'b', 0, 0, 0}) == Fault::corrupt);
    const Bytes good = joined({Bytes(32), {0, 0, 1, kFloat32, 4, 1, 1, 0, 1, 'a', 0, 0}});
    CHECK(cabacus::parse(file_of(good, 0, 1), {}).records[0].delta);
}

TEST(container_reader_axes_are_a_permutation_and_not_the_identity) {
    const auto axes = [](const Bytes& announced) {
        return with_levels(6, joined({announced, {2, 6, 4}}), kLevels, joined({files::floats(0.5F), {0, 0, 0, 10}}), 10);
    };
    CHECK_EQUAL(cabacus::parse(axes({2, 1, 0}).file(), {}).records[0].axes.size(), 2U);
    refused(axes({0}), Fault::corrupt);
    refused(axes({2, 0, 1}), Fault::corrupt);
    refused(axes({2, 1, 1}), Fault::corrupt);
    refused(axes({2, 2, 0}), Fault::corrupt);
    refused(axes({3, 1, 0, 2}), Fault::corrupt);  // of another rank than the shape
}

TEST(container_reader_level_parameters_are_checked) {
    bad_levels(changed(kLevels, 0, 15));
    bad_levels(changed(kLevels, 0, 11));  // 1 + 11 + 4
    bad_levels(changed(kLevels, 1, 21));  // order 21, 4 prefixes
    bad_levels(changed(kLevels, 2, 5));
    bad_levels(changed(kLevels, 3, 32));
    bad_levels(changed(kLevels, 4, 4), Fault::unsupported);
    bad_levels(changed(kLevels, 5, 0x08));
    bad_levels(changed(kLevels, 5, 0x80));
    bad_levels(changed(kLevels, 6, 32));
    for (const std::uint8_t states : Bytes{1, 2, 3, 5, 16}) bad_levels(changed(kLevels, 7, states));
    bad_levels(changed(kLevels, 8, 7));
    bad_levels(joined({changed(kLevels, 9, 14), Bytes(28)}));
    bad_levels(joined({changed(kLevels, 9, 16), Bytes(32)}));
    const Bytes started = joined({changed(kLevels, 9, 15), Bytes(30, 1)});
    const Parts parts = with_levels(4, {2, 6, 4}, started, joined({files::floats(0.5F), {0, 0, 0, 10}}), 10);
    CHECK_EQUAL(cabacus::parse(parts.file(), {}).records[0].levels.start.size(), 15U);
}

TEST(container_reader_codings_have_their_types) {
    refused(with_levels(0, {}, kLevels, {0, 0, 0, 0, 0, 10}, 10, 24, 1), Fault::corrupt);    // levels of complex64
    refused(with_levels(0, {}, kLevels, {0, 3, 0, 1, 0, 0, 0, 0, 10}, 10, kInt8, 2), Fault::corrupt);  // exact int8
    refused(with_levels(0, {}, kLevels, {0, 24, 0, 1, 0, 0, 0, 0, 10}, 10, kFloat32, 2), Fault::corrupt);  // 24 bits of mantissa
    const Parts exact = with_levels(0, {}, kLevels, {0, 23, 0, 1, 0, 0, 0, 0, 10}, 10, kFloat32, 2);
    CHECK_EQUAL(cabacus::parse(exact.file(), {}).records[0].entries, 23U);
}

TEST(container_reader_steps_are_finite_and_above_0) {
    for (const float step : {0.0F, -0.0F, -1.0F, std::numeric_limits<float>::infinity(),
                             std::numeric_limits<float>::quiet_NaN()}) {
        const Bytes text = files::floats(step);
        refused(with_levels(0, {}, kLevels, joined({{0}, text, {0, 0, 0, 10}}), 10), Fault::corrupt);
        refused(with_levels(8, text, kLevels, {0, 0, 0, 0, 10}, 10), Fault::corrupt);
    }
}

TEST(container_reader_codebooks_have_entries_and_two_kinds_of_slices) {
    const auto codebook = [](const Bytes& entries, const Bytes& rest, std::size_t payload) {
        return with_levels(4, {2, 6, 4}, kLevels, joined({entries, rest}), payload, kInt8, 3);
    };
    CHECK_EQUAL(cabacus::parse(codebook(varint(65536), {255, 1, 0, 0, 0, 10, 20}, 30).file(), {}).records[0].slice_bytes[0], 10U);
    refused(codebook({0}, {0, 0, 0, 0, 10, 20}, 30), Fault::corrupt);
    refused(codebook(varint(65537), {0, 0, 0, 0, 10, 20}, 30), Fault::corrupt);
    refused(codebook(varint(std::uint64_t{1} << 32 | 1), {0, 0, 0, 0, 10, 20}, 30), Fault::corrupt);
    refused(codebook({9}, {9, 0, 0, 0, 10, 20}, 30), Fault::corrupt);  // the center is no entry
    refused(codebook({9}, {4, 0, 0, 0, 10}, 10), Fault::corrupt);
    // Without elements there is no slice, not even of the codebook.
    const Parts empty = with_levels(4, {2, 0, 4}, kLevels, {9, 4, 0, 0, 0}, 0, kInt8, 3);
    CHECK(cabacus::parse(empty.file(), {}).records[0].slice_bytes.empty());
}

TEST(container_reader_geometry_has_one_form) {
    refused(matrix({4, 0, 0, 10}, 10), Fault::corrupt);        // the natural width, written out
    refused(matrix({25, 0, 0, 10}, 10), Fault::corrupt);       // wider than the tensor
    refused(matrix({0, 6, 0, 10}, 10), Fault::corrupt);        // all rows, written out
    refused(matrix({0, 7, 0, 10}, 10), Fault::corrupt);        // more rows than there are
    refused(matrix({0, 3, 0, 10}, 10), Fault::corrupt);        // one length for two slices
    refused(matrix({0, 0, 0, 10, 4}, 14), Fault::corrupt);     // two lengths for one slice
    refused(matrix({0, 0, 0, 3}, 3), Fault::corrupt);          // shorter than a checksum
    corrupt_records({1, 0, 1, 'a', 1, 1, 2});               // of raw elements
    refused(with_levels(4, {1, 0}, kLevels, joined({files::floats(1), {1, 0, 0}}), 0), Fault::corrupt);
    refused(with_levels(4, {1, 0}, kLevels, joined({files::floats(1), {0, 1, 0}}), 0), Fault::corrupt);
}

TEST(container_reader_gaps_are_of_rows_and_have_a_map) {
    CHECK_EQUAL(cabacus::parse(matrix({0, 0, 5, 5, 10}, 15).file(), {}).records[0].gaps, 5U);
    CHECK_EQUAL(cabacus::parse(matrix({0, 1, 4, 5, 4, 4}, 13).file(), {}).records[0].slice_bytes.size(), 3U);
    refused(matrix({0, 0, 6, 5, 10}, 15), Fault::corrupt);        // all rows
    refused(matrix({0, 0, 7, 5, 10}, 15), Fault::corrupt);        // more rows than there are
    refused(matrix({0, 2, 4, 5, 10}, 15), Fault::corrupt);        // all rows that are left, written out
    refused(matrix({5, 0, 5, 5, 10}, 15), Fault::corrupt);        // wider than what is left
    refused(matrix({0, 0, 5, 6, 10}, 16), Fault::corrupt);        // a map of two bytes
    refused(matrix({0, 0, 5, 10}, 10), Fault::corrupt);           // no map
    refused(with_levels(4, {1, 6}, kLevels, joined({files::floats(1), {0, 0, 1, 5, 10}}), 15), Fault::corrupt);
    refused(with_levels(4, {2, 4, 0}, kLevels, joined({files::floats(1), {0, 0, 1}}), 0), Fault::corrupt);
    refused(with_levels(4, {2, 6, 4}, kLevels, {9, 4, 0, 0, 1, 10, 20}, 30, kInt8, 3), Fault::corrupt);
}

TEST(container_reader_layouts_are_read_with_their_base) {
    using cabacus::BaseTensor;
    const std::vector<BaseTensor> base{{"a", kFloat32, {2}}, {"b", kFloat32, {3, 4}}, {"c", kInt8, {}}, {"d", kFloat32, {1}}};
    const auto file = [](const Bytes& layout, const Bytes& rest) {
        return file_of(joined({Bytes(32), layout, {0, 0}, rest}), 0, 3);
    };
    const Bytes sets{2, kFloat32, 4, 0, kInt8, 4, 0};
    const auto read = [&](const Bytes& layout, const Bytes& rest) { return cabacus::parse(file(layout, rest), {}, true, &base); };
    const auto corrupt = [&](const Bytes& layout, const Bytes& rest) {
        try {
            read(layout, rest);
        } catch (const FormatError& error) {
            CHECK(error.kind == Fault::corrupt);
            return;
        }
        CHECK(false);
    };
    const Bytes layout{3, 2, 0b010};  // a and d, c
    const cabacus::Header header = read(layout, joined({sets, {0, 0, 2}}));
    CHECK(header.complete && header.records.size() == 3);
    CHECK(header.records[0].name == "b" && (header.records[0].shape == std::vector<std::uint64_t>{3, 4}));
    CHECK((header.records[1].members == std::vector<std::uint64_t>{0, 3}));
    CHECK((header.records[1].shape == std::vector<std::uint64_t>{3}));
    CHECK((header.records[2].shape == std::vector<std::uint64_t>{1}));
    const Bytes again = cabacus::pack(header.records, header.metadata, header.base, header.layout);
    CHECK(again == file(layout, joined({sets, {0, 0, 2}})));

    const cabacus::Header without = cabacus::parse(file(layout, joined({sets, {0, 0, 2}})), {});
    CHECK(!without.complete && without.records.empty() && without.base);
    CHECK(error_of(file_of({0, 0, 0, 0}, 0, 2)).kind == Fault::corrupt);  // a layout, but no base
    corrupt({3, 1}, joined({sets, {0, 0}}));                   // a group of two types
    corrupt({3, 2, 0}, joined({sets, {0, 0, 2}}));       // an empty group
    corrupt({3, 3, 0b110100}, joined({sets, {0, 0, 2}}));      // a group that is not there
    corrupt({3, 2, 0b1010}, joined({sets, {0, 0, 2}}));        // a bit too many
    corrupt({3, 9, 0, 1, 2, 3, 4}, joined({sets, {0, 0, 2}}));
    corrupt({3, 0}, joined({sets, {0, 0, 2}}));
    corrupt({0, 1}, joined({sets, {0, 0, 2, 0}}));             // a group, but nothing is joined
    corrupt(layout, joined({sets, {0, 0}}));                   // a record is missing
    corrupt(layout, joined({sets, {0, 0, 2, 2}}));             // one too many
    corrupt(layout, {2, kFloat32, 4, 4, 1, 2, kInt8, 4, 0, 0, 0, 2});  // a set with a shape
    CHECK_THROWS(std::invalid_argument, cabacus::pack({}, {}, {}, cabacus::Layout{}));
}

TEST(container_reader_names_are_checked) {
    corrupt_records({1, 1, 1, 'a', 0, 1, 2});                       // shares with nothing
    corrupt_records({2, 0, 1, 'a', 0, 0, 0, 1, 'a', 0, 0});         // twice
    corrupt_records({2, 0, 1, 'a', 0, 0, 1, 0, 0, 0});              // twice, by sharing
    corrupt_records({1, 0, 1, 0xC3, 0, 1, 2});                      // no UTF-8
    corrupt_records({2, 0, 2, 0xC3, 0xA9, 0, 0, 1, 1, 'b', 0, 0});  // a character cut
    corrupt_records({2, 0, 2, 0xC3, 0xA9, 0, 0, 1, 1, 0xAA, 0, 0});
}

TEST(container_reader_counts_are_checked_before_memory_is_taken) {
    Limits limits;
    limits.tensors = limits.rank = limits.elements = std::numeric_limits<std::uint64_t>::max();
    limits.total_elements = limits.output_bytes = limits.elements;
    const auto corrupt = [&](const Parts& parts) { CHECK(error_of(parts.file(), limits).kind == Fault::corrupt); };
    const std::uint64_t many = std::uint64_t{1} << 62;
    Parts parts;
    parts.records = varint(many);
    corrupt(parts);
    parts = {};
    parts.sets = varint(many);
    corrupt(parts);
    parts = {};
    parts.records = joined({{1, 0, 1, 'a', 0}, varint(many)});
    corrupt(parts);
    // 2^62 slices of one element.
    corrupt(with_levels(0, {}, kLevels, joined({{1}, varint(many), files::floats(1), {1, 1, 0}}), 0));
    // Raw: the file would have to have them.
    parts = {};
    parts.records = joined({{1, 0, 1, 'a', 0, 1}, varint(many >> 8)});
    CHECK(error_of(parts.file(), limits).kind == Fault::truncated);
    CHECK(error_of(parts.file(), limits, false).kind == Fault::limit);
}

TEST(container_reader_sums_and_products_do_not_overflow) {
    Limits limits;
    limits.elements = limits.total_elements = limits.output_bytes = std::numeric_limits<std::uint64_t>::max();
    const std::uint64_t half = std::uint64_t{1} << 32;
    Parts parts;
    parts.records = joined({{1, 0, 1, 'a', 0, 2}, varint(half), varint(half)});
    CHECK(error_of(parts.file(), limits).kind == Fault::corrupt);
    parts.records = joined({{1, 0, 1, 'a', 0, 3, 0}, varint(half), varint(half)});  // 0 counts as 1
    CHECK(error_of(parts.file(), limits).kind == Fault::corrupt);
    parts.records = joined({{1, 0, 1, 'a', 0, 1}, varint(std::uint64_t{1} << 62)});  // of 4 bytes
    CHECK(error_of(parts.file(), limits).kind == Fault::corrupt);
    CHECK(error_of(matrix(joined({{0, 3, 0}, varint(~std::uint64_t{0}), varint(17)}), 0).file()).kind == Fault::corrupt);
}

TEST(container_reader_aliases_are_checked) {
    // a: zeros; b: an alias of it; then the record under test, of set 1.
    const auto third = [](const Bytes& sets, const Bytes& record) {
        Parts parts;
        parts.sets = sets;
        parts.records = joined({{3, 0, 1, 'a', 0, 1, 9, 0, 1, 'b', 2, 1, 9, 0}, record});
        parts.payload = 0;
        return parts;
    };
    const Bytes sets{2, kFloat32, 4, 0, kFloat32, 5, 0};
    const Bytes others{3, kFloat32, 4, 0, kFloat32, 5, 0, kInt8, 5, 0};
    CHECK_EQUAL(cabacus::parse(third(sets, {0, 1, 'c', 2, 1, 9, 0}).file(), {}).records[2].alias, 0U);
    refused(third(sets, {0, 1, 'c', 2, 1, 9, 1}), Fault::corrupt);    // of an alias
    refused(third(sets, {0, 1, 'c', 2, 1, 9, 2}), Fault::corrupt);    // of itself
    refused(third(sets, {0, 1, 'c', 2, 1, 9, 3}), Fault::corrupt);    // of none
    refused(third(sets, {0, 1, 'c', 2, 1, 8, 0}), Fault::corrupt);    // of another shape
    refused(third(others, {0, 1, 'c', 4, 1, 9, 0}), Fault::corrupt);  // of another type
}

TEST(container_reader_limits_are_kept_and_named) {
    struct Case {
        std::string name;
        std::uint64_t Limits::*field;
        std::uint64_t needed;  // by the sample file
    };
    const Bytes file = sample_file();
    std::uint64_t header = cabacus::parse(file, {}).bytes - cabacus::kPreambleBytes;
    // Each name but the first shares "layer." with the one before, and tensor 2's axes are the set's.
    header += 8 * 6 + 2;
    const std::uint64_t output = 6 * 24 * 4 - 24 * 3 + 24 * 8 + 4;
    for (const Case& one : {Case{"tensors", &Limits::tensors, 9}, Case{"rank", &Limits::rank, 3},
                            Case{"name_bytes", &Limits::name_bytes, 14}, Case{"elements", &Limits::elements, 24},
                            Case{"total_elements", &Limits::total_elements, 7 * 24 + 1},
                            Case{"header_bytes", &Limits::header_bytes, header},
                            Case{"output_bytes", &Limits::output_bytes, output}}) {
        Limits limits;
        limits.*one.field = one.needed;
        CHECK_EQUAL(cabacus::parse(file, limits).records.size(), 9U);
        limits.*one.field = one.needed - 1;
        const FormatError error = error_of(file, limits);
        CHECK(error.kind == Fault::limit);
        CHECK_EQUAL(error.limit, one.name);
    }
}

TEST(container_reader_a_size_of_0_leaves_the_others_limited) {
    Parts parts;
    parts.records = joined({{1, 0, 1, 'a', 0, 2, 0}, varint(std::uint64_t{1} << 40)});
    const FormatError error = error_of(parts.file());
    CHECK(error.kind == Fault::limit);
    CHECK_EQUAL(error.limit, "elements");
    CHECK_EQUAL(error.tensor, "a");
}

TEST(container_reader_shared_names_count_as_header) {
    // A megabyte of names from a kilobyte of file.
    cabacus::ByteWriter out;
    out.bytes(Bytes{0, 0, 1, kFloat32, 4, 4, 0});
    out.varint(256);
    for (int i = 0; i < 256; ++i) {
        out.varint(i == 0 ? 0 : 4000);
        out.string(i == 0 ? std::string(4000, 'n') : std::to_string(i));
        out.varint(0);
    }
    const Bytes file = file_of(out.take(), 0);
    CHECK_EQUAL(cabacus::parse(file, {}).records.size(), 256U);
    Limits limits;
    limits.header_bytes = 100'000;
    CHECK_EQUAL(error_of(file, limits).limit, "header_bytes");
}
