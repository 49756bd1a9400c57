/**
 * What adapters did to a network, as a page for people: {@link io.github.dl4jlora.report.page.AdapterReport} writes it.
 * The figures are {@link io.github.dl4jlora.adapter.LoRAAdapter}'s; here they become words, tables and pictures.
 */
package io.github.dl4jlora.report.page;
