/**
 * Measures what the pages state, and puts it there:
 *
 * <pre>
 *     Figures, the program
 *     |- what is run               Part, Task -> Measurement
 *     |- what programs print       PrintedTables
 *     |- docs/figures              FigureFile, FigureFiles
 *     '- README.md, docs           Page, Summary
 * </pre>
 *
 * <p>Whatever is measured runs in processes of its own, by the commands that the pages name.
 */
package io.github.dl4jlora.benchmarks.figures;
