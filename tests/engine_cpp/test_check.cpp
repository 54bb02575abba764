// The runner's own checks: what ought to fail does.
#include "check.hpp"

TEST(a_false_condition_fails) { CHECK_THROWS(check::Failure, CHECK(1 > 2)); }

TEST(different_values_fail_and_are_told) {
    try {
        CHECK_EQUAL(1 + 1, 3);
    } catch (const check::Failure& failure) {
        CHECK(std::string(failure.what()).find("2 is not 3") != std::string::npos);
        return;
    }
    check::fail(__FILE__, __LINE__, "nothing was thrown");
}

TEST(a_missing_exception_fails) {
    bool failed = false;
    try {
        CHECK_THROWS(std::logic_error, 1 + 1);
    } catch (const check::Failure&) {
        failed = true;
    }
    CHECK(failed);
}
