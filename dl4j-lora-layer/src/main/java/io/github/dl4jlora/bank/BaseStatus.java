package io.github.dl4jlora.bank;

import java.time.Instant;
import java.util.Optional;

/**
 * What is known of the base of an {@link AdapterBank}.
 *
 * @param verified when it was last found to be what it was when the bank was made
 * @param defect   what was found since; as long as it is empty, requests are answered
 */
public record BaseStatus(Instant verified, Optional<String> defect) {
}
