/** DL4J's training pages for the examples; compiled with the Maven profile {@code ui} only. */
package io.github.dl4jlora.examples.ui;
