/** The code on the project's pages, for the tests that compile or check it. */
package io.github.dl4jlora.pages;
