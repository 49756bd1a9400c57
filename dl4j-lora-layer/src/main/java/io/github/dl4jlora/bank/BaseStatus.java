package io.github.dl4jlora.bank;

import java.time.Instant;
import java.util.Optional;

/**
 * Whether a bank's base is unchanged, and when that was last verified.
 *
 * <pre>{@code
 * BaseStatus status = bank.baseStatus();
 * status.defect().ifPresent(System.err::println);
 * System.out.println("verified at " + status.verified());
 * }</pre>
 *
 * @param verified when the base was last found unchanged
 * @param defect   how the base was found to have changed; requests are answered as long as this is empty
 */
public record BaseStatus(Instant verified, Optional<String> defect) {
}
