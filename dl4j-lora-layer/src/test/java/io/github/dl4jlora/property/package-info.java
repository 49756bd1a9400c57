/**
 * Random networks, and what must hold for every one of them.
 *
 * <pre>
 * Specs ──────► NetworkSpec ──────► Trial ──────► Law ──────► Outcomes
 * arbitraries   a value that        stock         what must   checked, refused,
 *               prints as Java      network, data hold        stock fails
 *                       ▲                          │
 *                       └── Search shrinks ◄───────┘ fails
 * </pre>
 *
 * <p>Nothing in here knows how the library works inside: networks are changed and asked through its public API and DL4J's. Only
 * {@link io.github.dl4jlora.property.Library} reaches inside, to say what computes.
 * A new layer type, storage, variant or path through DL4J is one more value of {@link io.github.dl4jlora.property.Kind},
 * {@link io.github.dl4jlora.property.Settings} or {@link io.github.dl4jlora.property.Path}. A network that ever failed
 * is pasted into {@link io.github.dl4jlora.property.FailedBeforeTest}.
 */
package io.github.dl4jlora.property;
