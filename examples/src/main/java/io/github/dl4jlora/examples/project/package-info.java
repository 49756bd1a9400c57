/**
 * Makes a Maven project of one's own from a program to copy.
 *
 * <pre>
 *   NewProject    the command;   its template, a POM and a setting of Logback, is in the resources of this package
 *     `- TaskProgram  what the project needs: modules, data
 * </pre>
 */
package io.github.dl4jlora.examples.project;
