package io.github.dl4jlora.bank;

import java.time.Instant;
import java.util.Optional;

/**
 * What is known of the base of an {@link AdapterBank}.
 *
 * @param verified when it was last found unchanged
 * @param defect   how it was found to have changed; requests are answered as long as this is empty
 */
public record BaseStatus(Instant verified, Optional<String> defect) {
}
