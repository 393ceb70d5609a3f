// The metrics of points, by the numbers under which Python passes them.
#pragma once

namespace torchtopo {

enum class Metric { euclidean, manhattan, chebyshev, cosine };

}  // namespace torchtopo
