// Headers come back as they were written, in few bytes, and the same ones every time.
#include "cabacus/container.hpp"
#include "cabacus/container_reader.hpp"
#include "cabacus/container_writer.hpp"
#include "check.hpp"
#include "container_files.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using cabacus::Coding;
using cabacus::Header;
using cabacus::pack;
using cabacus::parse;
using cabacus::Record;
using files::Bytes;

namespace {

Header reread(const std::vector<Record>& records, const cabacus::Metadata& metadata = {}) {
    return parse(pack(records, metadata, files::digest()), {}, false);
}

std::size_t packed_size(const std::vector<Record>& records) { return pack(records).size(); }

// That many levels tensors, alike but for their names and what `change` does.
std::vector<Record> layers(std::size_t count, const std::function<void(Record&, std::size_t)>& change) {
    std::vector<Record> records(count);
    for (std::size_t i = 0; i < count; ++i) {
        records[i].name = std::to_string(i);
        records[i].dtype = files::kFloat32;
        records[i].coding = Coding::levels;
        records[i].step = 0.5;
        records[i].shape = {64, 64};
        records[i].slice_bytes = {100};
        change(records[i], i);
    }
    return records;
}

}  // namespace

TEST(container_records_come_back) {
    const std::vector<Record> records = files::samples();
    const cabacus::Metadata metadata{{"z", "caf\xC3\xA9"}, {"a", ""}, {"", "nameless"}};
    const Bytes packed = pack(records, metadata, files::digest());
    const Header header = parse(packed, {}, false);
    CHECK_EQUAL(header.bytes, packed.size());
    CHECK(header.metadata == metadata);
    CHECK(header.base == files::digest());
    CHECK_EQUAL(header.records.size(), records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
        Record expected = records[i];
        const Record& read = header.records[i];
        expected.start = read.start;
        if (cabacus::has_levels(expected.coding)) {
            const cabacus::Geometry geometry = cabacus::geometry_of(expected);
            expected.row_width = geometry.row_width;
            expected.slice_rows = geometry.slice_rows;
        }
        if (expected.coding == Coding::raw) expected.slice_bytes = {6 * 4 * 4 + 4};
        CHECK(read == expected);
    }
    CHECK(pack(header.records, header.metadata, header.base) == packed);
}

TEST(container_payloads_follow_each_other) {
    const Header header = reread(files::samples());
    std::uint64_t at = header.bytes;
    for (const Record& record : header.records) {
        CHECK_EQUAL(record.start, at);
        for (const std::uint64_t bytes : record.slice_bytes) at += bytes;
    }
    CHECK_EQUAL(header.file_bytes, at);
}

TEST(container_a_file_may_be_empty) {
    const Bytes packed = pack({});
    CHECK_EQUAL(packed.size(), 20U);
    const Header header = parse(packed, {});
    CHECK_EQUAL(header.file_bytes, 20U);
    CHECK(header.records.empty() && header.metadata.empty() && !header.base);
}

TEST(container_the_natural_geometry_is_filled_in) {
    std::vector<Record> records = files::samples();
    const Header header = reread(records);
    CHECK_EQUAL(header.records[1].row_width, 5U);
    CHECK_EQUAL(header.records[2].row_width, 6U);  // axes 1, 0 of {6, 4}
    CHECK_EQUAL(header.records[3].row_width, 4U);
    CHECK_EQUAL(header.records[3].slice_rows, 6U);
    CHECK_EQUAL(header.records[8].row_width, 0U);
    records[3].row_width = 4;
    records[3].slice_rows = 6;
    CHECK(pack(records, {}, files::digest()) == pack(files::samples(), {}, files::digest()));
}

TEST(container_without_gaps_a_tensor_is_smaller) {
    const Record whole = reread(files::samples()).records[2];  // axes 1, 0 of {6, 4}
    const Record dense = cabacus::without_gaps(whole);
    CHECK((dense.shape == std::vector<std::uint64_t>{6, 3}));
    CHECK_EQUAL(dense.gaps, 0U);
    CHECK_EQUAL(dense.start, whole.start + 5);
    CHECK((dense.slice_bytes == std::vector<std::uint64_t>{20, 21}));
    CHECK(cabacus::without_gaps(dense) == dense);
}

TEST(container_vectors_are_one_row) {
    std::vector<Record> records = layers(2, [](Record& record, std::size_t i) {
        record.shape = i == 0 ? std::vector<std::uint64_t>{10} : std::vector<std::uint64_t>{};
    });
    const Header header = parse(pack(records), {}, false);
    CHECK_EQUAL(header.records[0].row_width, 10U);
    CHECK_EQUAL(header.records[1].row_width, 1U);
}

TEST(container_raw_slices_are_of_fixed_size) {
    Record record;
    record.name = "raw";
    record.dtype = files::kUint16;
    const std::uint64_t slice = std::uint64_t{1} << 24;
    const auto slices = [&](std::uint64_t elements) {
        record.shape = {elements};
        return parse(pack({record}), {}, false).records[0].slice_bytes;
    };
    CHECK(slices(0).empty());
    CHECK((slices(1) == std::vector<std::uint64_t>{6}));
    CHECK((slices(slice / 2) == std::vector<std::uint64_t>{slice + 4}));
    CHECK((slices(slice / 2 + 1) == std::vector<std::uint64_t>{slice + 4, 6}));
    CHECK((slices(slice) == std::vector<std::uint64_t>{slice + 4, slice + 4}));
}

TEST(container_names_share_whole_characters) {
    std::vector<Record> records(4);
    const char* names[] = {"caf\xC3\xA9", "caf\xC3\xAA", "caf", "cafeteria"};
    for (std::size_t i = 0; i < records.size(); ++i) {
        records[i].name = names[i];
        records[i].dtype = files::kInt8;
        records[i].coding = Coding::zero;
    }
    const Header header = parse(pack(records), {});
    for (std::size_t i = 0; i < records.size(); ++i) CHECK_EQUAL(header.records[i].name, names[i]);
}

TEST(container_a_like_tensor_costs_few_bytes) {
    // Shared prefix, rest of the name (2), set, row width, slice rows, slice bytes: shape and step are in the set.
    const auto alike = [](std::size_t count) { return packed_size(layers(count, [](Record&, std::size_t) {})); };
    CHECK_EQUAL(alike(9) - alike(8), 5U);
}

TEST(container_sets_share_what_saves_bytes) {
    // Two kinds of shape, many of each; every step its own.
    const std::vector<Record> records = layers(100, [](Record& record, std::size_t i) {
        record.shape = i % 2 == 0 ? std::vector<std::uint64_t>{512, 512, 3, 3} : std::vector<std::uint64_t>{512, 256};
        record.step = 1.0 + static_cast<double>(i);
    });
    const Bytes packed = pack(records);
    CHECK_EQUAL(int{packed[18]}, 2);  // sets
    CHECK_EQUAL(int{packed[21]}, int{cabacus::kShapeFlag});
    CHECK_EQUAL(parse(packed, {}, false).records[99].shape.size(), 2U);
}

TEST(container_sets_do_not_share_what_costs_bytes) {
    // Twice each shape: a set for every pair would cost more than it saves. The step is everywhere the same.
    const Bytes packed = pack(layers(20, [](Record& record, std::size_t i) { record.shape = {i / 2 + 1, 64}; }));
    CHECK_EQUAL(int{packed[18]}, 1);
    CHECK_EQUAL(int{packed[21]}, int{cabacus::kStepFlag});
}

TEST(container_a_lone_small_tensor_has_little_overhead) {
    Record record = layers(1, [](Record& only, std::size_t) { only.shape = {1024}; })[0];
    record.name = "w";
    // Preamble 16, counts 4, set 13, record 14.
    CHECK_EQUAL(packed_size({record}), 45U);
}

TEST(container_pack_refuses_what_the_format_cannot_hold) {
    using Change = std::function<void(Record&)>;
    const auto refused = [](std::size_t index, const Change& change) {
        std::vector<Record> records = files::samples();
        change(records[index]);
        CHECK_THROWS(std::invalid_argument, pack(records, {}, files::digest()));
    };
    refused(1, [](Record& record) { record.name = "layer.0.weight"; });
    refused(1, [](Record& record) { record.name = "\xFF"; });
    refused(0, [](Record& record) { record.dtype = 99; });
    refused(0, [](Record& record) { record.coding = static_cast<Coding>(6); });
    refused(0, [](Record& record) { record.axes = {1, 0}; });
    refused(0, [](Record& record) { record.slice_bytes = {100, 1}; });
    refused(1, [](Record& record) { record.step = 0.1; });
    refused(1, [](Record& record) { record.step = 1e300; });
    refused(1, [](Record& record) { record.step = 0; });
    refused(1, [](Record& record) { record.step = std::numeric_limits<double>::quiet_NaN(); });
    refused(1, [](Record& record) { record.slice_bytes.pop_back(); });
    refused(1, [](Record& record) { record.slice_bytes[0] = 3; });
    refused(1, [](Record& record) { record.row_width = 25; });
    refused(1, [](Record& record) { record.slice_rows = 6; });
    refused(1, [](Record& record) { record.levels.context = 4; });
    refused(2, [](Record& record) { record.gaps = 4; });
    refused(2, [](Record& record) { record.slice_bytes[0] = 6; });
    refused(4, [](Record& record) { record.gaps = 1; });
    refused(1, [](Record& record) { record.shape = {std::uint64_t{1} << 62, 2}; });
    refused(2, [](Record& record) { record.axes = {0, 1}; });
    refused(2, [](Record& record) { record.axes = {2, 0, 1}; });
    refused(2, [](Record& record) { record.levels.start.pop_back(); });
    refused(3, [](Record& record) { record.delta = true; });
    refused(4, [](Record& record) { record.entries = 24; });
    refused(5, [](Record& record) { record.entries = 65537; });
    refused(6, [](Record& record) { record.slice_bytes = {4}; });
    refused(7, [](Record& record) { record.alias = 7; });
    refused(7, [](Record& record) { record.shape = {4, 6}; });
    CHECK_THROWS(std::invalid_argument, pack(files::samples()));  // a difference, but no base
    CHECK_THROWS(std::invalid_argument, pack({}, {{"a", "1"}, {"a", "2"}}));
    CHECK_THROWS(std::invalid_argument, pack({}, {{"a", "\xFF"}}));
}
