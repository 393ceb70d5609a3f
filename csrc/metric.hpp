// What a space is measured by, under the numbers by which Python passes it: a metric of points, or
// distances as they are given.
#pragma once

namespace torchtopo {

enum class Metric { euclidean, manhattan, chebyshev, cosine, precomputed };

}  // namespace torchtopo
