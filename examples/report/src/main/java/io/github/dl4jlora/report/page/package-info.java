/**
 * Pages about adapters, for people. Begin with {@link io.github.dl4jlora.report.page.AdapterReport}, which writes a file to
 * open in a browser: what was compared, advice, losses, and what adapters did to a network. Its figures are
 * {@link io.github.dl4jlora.adapter.LoRAAdapter}'s; here they become words, tables and pictures.
 *
 * <pre>
 * AdapterReport           a report: one HTML file
 * ScoreHistory            the loss of a training, which a report draws
 * AdapterStatsListener    for DL4J's training pages: shows A and B of each adapter while it trains
 * AdaptedFirst            opens those pages on the adapted network; found by the server itself
 * </pre>
 */
package io.github.dl4jlora.report.page;
